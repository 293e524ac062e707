# The service: its unit, its user, and who may read its configuration.
systemdsystemunit_DATA = systemd/fieldgate.service
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d

EXTRA_DIST += systemd/fieldgate.service.in systemd/fieldgate.sysusers systemd/fieldgate.tmpfiles
CLEANFILES += systemd/fieldgate.service

systemd/fieldgate.service: systemd/fieldgate.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && sed -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/systemd/fieldgate.service.in >$@

# make install with another prefix than at configure time names the same places as the files go to
install-unit: install-systemdsystemunitDATA
	sed -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/systemd/fieldgate.service.in >'$(DESTDIR)$(systemdsystemunitdir)/fieldgate.service'

install-service: install-unit
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/systemd/fieldgate.sysusers '$(DESTDIR)$(sysusersdir)/fieldgate.conf'
	sed -e 's|/etc/|$(sysconfdir)/|' $(srcdir)/systemd/fieldgate.tmpfiles >'$(DESTDIR)$(tmpfilesdir)/fieldgate.conf'

uninstall-service:
	rm -f '$(DESTDIR)$(sysusersdir)/fieldgate.conf' '$(DESTDIR)$(tmpfilesdir)/fieldgate.conf'
