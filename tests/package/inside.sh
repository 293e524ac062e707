#!/bin/bash
# Runs in the root that install.sh makes, which is thrown away afterwards.
# shellcheck disable=SC2251 # a promise that is not kept is counted, and the next is looked at
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
kept=0 broken=0

promise() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@" >/tmp/promise.out 2>&1; then
		kept=$((kept + 1))
	else
		broken=$((broken + 1))
		printf 'NOT SO: %s\n  (%s)\n' "$what" "$*"
		sed 's/^/  /' /tmp/promise.out
	fi
}

not() { ! "$@"; }
is() { # FILE "MODE OWNER GROUP"
	[ "$(stat -c '%a %U %G' "$1")" = "$2" ] || { stat -c '%a %U %G' "$1"; return 1; }
}
as() { # USER COMMAND
	su -s /bin/sh "$1" -c "$2"
}

# Everything that is there, and whose it is; but what any package's installation writes.
snapshot() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /packages -o -path /run -o -path /var/cache -o \
		-path /var/log -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /build \) -prune -o -printf '%p %y %m %u %g %l\n' |
		grep -vE '^/(etc/(passwd|group|shadow|gshadow)-?|var/lib/systemd/deb-systemd-helper-enabled|var/lib/systemd|etc/systemd/system/multi-user.target.wants|etc/\.pwd\.lock) ' |
		sort
}

# systemd does not run here. What it would be told is written down.
record() {
	mkdir -p /run/systemd/system
	rm -f /usr/sbin/policy-rc.d # mmdebstrap's, which forbids to start anything
	cat >/usr/local/sbin/systemctl <<'FAKE'
#!/bin/sh
echo "$*" >>/tmp/told
case " $* " in
*" preset "*) exec /usr/bin/systemctl "$@" ;; # links are made without systemd
*" is-enabled "*"@"*) ;;
*" is-enabled "*) echo enabled ;;
*" is-active "*"@"*) [ -e /tmp/instance-runs ] ;;
esac
FAKE
	chmod +x /usr/local/sbin/systemctl
	: >/tmp/told
}
told() { grep -qE -- "$1" /tmp/told || { cat /tmp/told; return 1; }; }
install() { # PACKAGE [OPTION...]: without a network, and without anybody to answer questions
	local package=$1
	shift
	: >/tmp/told
	unshare -n dpkg "$@" -i "$package" >/tmp/install.out 2>&1 </dev/null || { cat /tmp/install.out; return 1; }
}

apt-get -q -y --no-install-recommends satisfy "$(dpkg-deb -f /packages/old.deb Depends)" >/tmp/apt.out 2>&1 || { cat /tmp/apt.out; exit 1; }
record
snapshot >/tmp/before

echo "== install"
promise "it installs without a network" install /packages/old.deb
promise "the service is started" told 'start fieldgate.service'
promise "the service is enabled" test -L /etc/systemd/system/multi-user.target.wants/fieldgate.service
promise "its user is a system user" test "$(id -u fieldgate)" -lt 1000
promise "its user may open serial ports" sh -c "id -nG fieldgate | grep -qw dialout"
promise "nobody can log in as it" sh -c "getent passwd fieldgate | grep -q nologin"
promise "only root and the service read the folder" is /etc/fieldgate "2750 root fieldgate"
promise "only root and the service read the configuration" is /etc/fieldgate/gateway.conf "640 root fieldgate"
promise "the service reads it" as fieldgate "fieldgate check"
promise "the service cannot change it" not as fieldgate "echo >>/etc/fieldgate/gateway.conf"
promise "others cannot read it" not as nobody "cat /etc/fieldgate/gateway.conf"
promise "check says that it is an example" sh -c "fieldgate check | grep -q 'this is an example'"
promise "fieldgate(8) is there" man -w 8 fieldgate
promise "gateway.conf(5) is there" man -w 5 gateway.conf
promise "completion is there" test -s /usr/share/bash-completion/completions/fieldgate
promise "examples are there" fieldgate check -c /usr/share/fieldgate/examples/meters.conf
promise "changelog and copyright are there" sh -c "zcat /usr/share/doc/fieldgate/changelog.gz && cat /usr/share/doc/fieldgate/copyright"
promise "the conffile is one" sh -c "dpkg-query -f '\${Conffiles}' -W fieldgate | grep -q /etc/fieldgate/gateway.conf"
promise "no other conffile" test "$(dpkg-query -f '${Conffiles}' -W fieldgate | grep -c /)" = 1
snapshot >/tmp/installed

echo "== install the same again"
promise "it installs" install /packages/old.deb
promise "nothing changed" sh -c "$(declare -f snapshot); snapshot | diff /tmp/installed -"

echo "== upgrade, with the configuration as it came"
promise "it upgrades" install /packages/new.deb
promise "the new configuration is there" grep -q "newer version" /etc/fieldgate/gateway.conf
promise "only root and the service read it" is /etc/fieldgate/gateway.conf "640 root fieldgate"
promise "the service is started again" told 'restart fieldgate.service'
promise "it was not stopped for long" not told ' stop '
promise "instances that do not run are left alone" not told 'restart fieldgate@'

echo "== upgrade, with a configuration that the user has edited, an instance, and data"
promise "back to the first" install /packages/old.deb --force-downgrade
echo "# mine" >>/etc/fieldgate/gateway.conf
cp /etc/fieldgate/gateway.conf /etc/fieldgate/two.conf
mkdir -p /var/lib/fieldgate/two
echo data >/var/lib/fieldgate/fieldgate.db
touch /tmp/instance-runs
promise "what is made in the folder belongs to the service's group" sh -c "stat -c %G /etc/fieldgate/two.conf | grep -qx fieldgate"
promise "it upgrades" install /packages/new.deb --force-confold
promise "the user's configuration is kept" grep -q "# mine" /etc/fieldgate/gateway.conf
promise "the new one lies beside it" grep -q "newer version" /etc/fieldgate/gateway.conf.dpkg-dist
promise "only root and the service read it" is /etc/fieldgate/gateway.conf "640 root fieldgate"
promise "the service is started again" told 'restart fieldgate.service'
promise "so are instances that run" told 'restart fieldgate@'
promise "data are kept" grep -q data /var/lib/fieldgate/fieldgate.db

echo "== remove"
: >/tmp/told
promise "it is removed" dpkg -r fieldgate
promise "the service is stopped" told 'stop fieldgate.service'
promise "so are its instances" told 'stop fieldgate@'
promise "the program is gone" not test -e /usr/bin/fieldgate
promise "data are kept" grep -q data /var/lib/fieldgate/fieldgate.db
promise "the configuration is kept" grep -q "# mine" /etc/fieldgate/gateway.conf
promise "it installs again" install /packages/new.deb --force-confold
promise "data are kept" grep -q data /var/lib/fieldgate/fieldgate.db
promise "the configuration is kept" grep -q "# mine" /etc/fieldgate/gateway.conf

echo "== purge"
promise "it is purged" dpkg -P fieldgate
promise "data are gone" not test -e /var/lib/fieldgate
promise "configurations are gone" not test -e /etc/fieldgate
promise "nothing is left but the user" sh -c "$(declare -f snapshot); snapshot | diff /tmp/before -"
promise "its user stays, so that nobody else gets its number" id fieldgate

echo "$kept promises kept, $broken broken"
[ "$broken" -eq 0 ]
