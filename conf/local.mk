# The configuration that a user edits, and its manual.
EXTRA_DIST += conf/gateway.conf conf/demo.conf
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
