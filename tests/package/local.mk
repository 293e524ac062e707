# The Debian package: how it is made, in a fresh root, and what it promises.
TESTS += tests/package/version.sh tests/package/program.sh tests/package/unit.sh tests/package/completion.sh
EXTRA_DIST += tests/package/emulated.sh tests/package/version.sh tests/package/program.sh tests/package/unit.sh tests/package/completion.sh

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

.PHONY: deb deb-arm64 deb-armhf check-arm64 check-armhf
