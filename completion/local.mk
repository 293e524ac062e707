# What bash-completion loads when somebody types "fieldgate" and a tab.
bashcompletiondir = $(datadir)/bash-completion/completions
EXTRA_DIST += completion/fieldgate.bash

install-completion:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)'
	$(INSTALL_DATA) $(srcdir)/completion/fieldgate.bash '$(DESTDIR)$(bashcompletiondir)/fieldgate'

uninstall-completion:
	rm -f '$(DESTDIR)$(bashcompletiondir)/fieldgate'
