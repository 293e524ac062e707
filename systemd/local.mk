# The service: its units, its user, and who may read its configuration. One text makes two units: fieldgate.service, and
# fieldgate@NAME.service for further gateways on the same machine, each with a configuration and folders of its own.
UNITS = systemd/fieldgate.service systemd/fieldgate@.service
systemdsystemunit_DATA = $(UNITS)
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d

EXTRA_DIST += systemd/fieldgate.service.in systemd/fieldgate.sysusers systemd/fieldgate.tmpfiles systemd/credentials.conf
CLEANFILES += $(UNITS)

# The state of an instance lies inside that of the service, where purging the package finds it. Not so what is below /run: systemd
# removes it with the service that it belongs to.
UNIT_FOLDERS = -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g'
UNIT_PLAIN = -e 's|@TITLE[@]||' -e 's|@CONF[@]|gateway|' -e 's|@STATE[@]|fieldgate|' -e 's|@RUNTIME[@]|fieldgate|'
UNIT_INSTANCE = -e 's|@TITLE[@]| %i|' -e 's|@CONF[@]|%i|' -e 's|@STATE[@]|fieldgate/%i|' -e 's|@RUNTIME[@]|fieldgate-%i|'
UNIT_TEXT = $(srcdir)/systemd/fieldgate.service.in

systemd/fieldgate.service: systemd/fieldgate.service.in systemd/local.mk Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && sed $(UNIT_FOLDERS) $(UNIT_PLAIN) $(UNIT_TEXT) >$@
systemd/fieldgate@.service: systemd/fieldgate.service.in systemd/local.mk Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && sed $(UNIT_FOLDERS) $(UNIT_INSTANCE) $(UNIT_TEXT) >$@

# make install with another prefix than at configure time names the same places as the files go to
install-units: install-systemdsystemunitDATA
	sed $(UNIT_FOLDERS) $(UNIT_PLAIN) $(UNIT_TEXT) >'$(DESTDIR)$(systemdsystemunitdir)/fieldgate.service'
	sed $(UNIT_FOLDERS) $(UNIT_INSTANCE) $(UNIT_TEXT) >'$(DESTDIR)$(systemdsystemunitdir)/fieldgate@.service'

install-service: install-units
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/systemd/fieldgate.sysusers '$(DESTDIR)$(sysusersdir)/fieldgate.conf'
	sed -e 's|/etc/|$(sysconfdir)/|' $(srcdir)/systemd/fieldgate.tmpfiles >'$(DESTDIR)$(tmpfilesdir)/fieldgate.conf'

uninstall-service:
	rm -f '$(DESTDIR)$(sysusersdir)/fieldgate.conf' '$(DESTDIR)$(tmpfilesdir)/fieldgate.conf'
