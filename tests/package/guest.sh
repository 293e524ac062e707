#!/bin/bash
# Runs in the machine under test: takes commands from a virtio port, a line of base64 each, and gives back the exit status and what
# they said, in base64.
port=/dev/virtio-ports/commands
until [ -e $port ]; do sleep 0.2; done
exec 3<>$port
while read -r line <&3; do
	said=$(base64 -d <<<"$line" | bash 2>&1 | base64 -w 0; exit "${PIPESTATUS[1]}")
	echo "$? $said" >&3
done
