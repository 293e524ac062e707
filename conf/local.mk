# The configuration that a user edits, and its manual.
EXAMPLES = conf/examples/plc.conf conf/examples/meters.conf conf/examples/meters.points
EXTRA_DIST += conf/gateway.conf conf/demo.conf conf/instruments.d $(EXAMPLES)
dist_man_MANS += man/gateway.conf.5

# What the user has edited stays: a new version's file comes beside it.
fieldgateconfdir = $(sysconfdir)/fieldgate

install-config:
	$(MKDIR_P) '$(DESTDIR)$(fieldgateconfdir)'
	if test -e '$(DESTDIR)$(fieldgateconfdir)/gateway.conf'; then \
		$(INSTALL) -m 640 '$(srcdir)/conf/gateway.conf' '$(DESTDIR)$(fieldgateconfdir)/gateway.conf.new'; \
	else \
		$(INSTALL) -m 640 '$(srcdir)/conf/gateway.conf' '$(DESTDIR)$(fieldgateconfdir)/gateway.conf'; \
	fi

# Only what nobody has edited goes.
uninstall-config:
	rm -f '$(DESTDIR)$(fieldgateconfdir)/gateway.conf.new'
	if cmp -s '$(srcdir)/conf/gateway.conf' '$(DESTDIR)$(fieldgateconfdir)/gateway.conf'; then \
		rm -f '$(DESTDIR)$(fieldgateconfdir)/gateway.conf'; \
	fi

# To read and to copy from; the configuration as it was installed is among them.
exampledir = $(pkgdatadir)/examples

install-examples:
	$(MKDIR_P) '$(DESTDIR)$(exampledir)'
	for file in conf/gateway.conf systemd/credentials.conf $(EXAMPLES); do $(INSTALL_DATA) "$(srcdir)/$$file" '$(DESTDIR)$(exampledir)'; done

uninstall-examples:
	for file in conf/gateway.conf systemd/credentials.conf $(EXAMPLES); do rm -f "$(DESTDIR)$(exampledir)/$${file##*/}"; done

# Serial instruments that are described already, to be included from gateway.conf.
instrumentdir = $(pkgdatadir)/instruments.d

install-instruments:
	$(MKDIR_P) '$(DESTDIR)$(instrumentdir)'
	for file in '$(srcdir)'/conf/instruments.d/*; do $(INSTALL_DATA) "$$file" '$(DESTDIR)$(instrumentdir)'; done

uninstall-instruments:
	for file in '$(srcdir)'/conf/instruments.d/*; do rm -f "$(DESTDIR)$(instrumentdir)/$${file##*/}"; done
