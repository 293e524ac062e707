# The Debian package: how it is made, in a fresh root, and what it promises.
TESTS += tests/package/version.sh tests/package/program.sh tests/package/unit.sh tests/package/completion.sh tests/package/manual.sh
EXTRA_DIST += tests/package/autopkgtest.sh tests/package/emulated.sh tests/package/inside.sh tests/package/install.sh tests/package/newer.sh tests/package/guest.sh \
	tests/package/image.sh tests/package/machine.py tests/package/world.py tests/package/system.py \
	tests/package/steps_package.py tests/package/steps_service.py tests/package/steps_trouble.py \
	tests/package/version.sh tests/package/program.sh tests/package/unit.sh tests/package/completion.sh tests/package/manual.sh

SUITE = bookworm
PACKAGES = packages
DEB = $(srcdir)/scripts/deb --suite $(SUITE)

# A new tree each time: what is built is what "make dist" would ship.
deb: distdir
	$(DEB) $(distdir) $(PACKAGES)/$(SUITE)
	rm -rf $(distdir)
deb-arm64 deb-armhf: distdir
	$(DEB) --arch $(@:deb-%=%) $(distdir) $(PACKAGES)/$(SUITE)
	rm -rf $(distdir)

# The package of another architecture, and its program at work under emulation.
check-arm64: deb-arm64
check-armhf: deb-armhf
check-arm64 check-armhf: $(check_PROGRAMS)
	$(srcdir)/tests/package/emulated.sh $(@:check-%=%) $(SUITE) $(PACKAGES)/$(SUITE)/fieldgate_$(PACKAGE_VERSION)_$(@:check-%=%).deb

# Is it the same, byte for byte, when somebody else builds it? Then: installed, upgraded, removed and purged in a fresh root.
check-package: distdir
	$(DEB) --twice $(distdir) $(PACKAGES)/$(SUITE)
	rm -rf $(distdir)
	$(srcdir)/tests/package/install.sh $(SUITE) \
		$(PACKAGES)/$(SUITE)/fieldgate_$(PACKAGE_VERSION)_$$(dpkg --print-architecture).deb
	lintian --fail-on error,warning --allow-root \
		$(PACKAGES)/$(SUITE)/fieldgate_$(PACKAGE_VERSION)_$$(dpkg --print-architecture).changes

# debian/tests, as Debian runs them.
check-autopkgtest: distdir
	$(DEB) $(distdir) $(PACKAGES)/$(SUITE)
	$(srcdir)/tests/package/autopkgtest.sh $(SUITE) \
		$(PACKAGES)/$(SUITE)/fieldgate_$(PACKAGE_VERSION)_$$(dpkg --print-architecture).deb $(distdir)
	rm -rf $(distdir)

# A machine of its own, booted by systemd: what happens to a gateway in years. Needs root and qemu-system-x86_64; SYSTEM is where
# the disk is kept.
SYSTEM = $(HOME)/.cache/fieldgate/system-$(SUITE)
check-system: deb $(check_PROGRAMS)
	package=$(PACKAGES)/$(SUITE)/fieldgate_$(PACKAGE_VERSION)_$$(dpkg --print-architecture).deb; \
	$(srcdir)/tests/package/image.sh $(SUITE) $$package $(SYSTEM) && \
	$(srcdir)/tests/package/newer.sh $$package $(PACKAGES)/newer.deb && \
	srcdir=$(srcdir) $(srcdir)/tests/package/system.py $(SYSTEM) $$package $(PACKAGES)/newer.deb

.PHONY: deb deb-arm64 deb-armhf check-arm64 check-armhf check-package check-autopkgtest check-system
