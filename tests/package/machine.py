"""A virtual machine that boots a copy of a disk, with a shell, a serial adapter that can be pulled out, and a power cord."""

import base64
import json
import os
import socket
import subprocess
import time

# Emulation works everywhere. Where /dev/kvm does, which its being there does not tell, ACCELERATOR=kvm is faster.
ACCELERATOR = os.environ.get("ACCELERATOR", "tcg")


class Machine:
    """image: the name of a disk, kernel and initrd that image.sh made; folder: for what is of this run. The host's loopback is 10.0.2.2
    inside."""

    def __init__(self, image, folder, port):
        self.image, self.folder, self.port = image, folder, port
        self.disk = os.path.join(folder, "disk.qcow2")
        self.process = None
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image + ".img", self.disk], check=True)

    def power_on(self, patience):
        commands, monitor = self.listener("commands"), self.listener("monitor")
        self.process = subprocess.Popen([
            "qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-accel", ACCELERATOR,
            "-m", "768", "-smp", "2", "-display", "none", "-vga", "none", "-no-reboot",
            "-kernel", self.image + ".kernel", "-initrd", self.image + ".initrd", "-append", "root=/dev/vda rw console=ttyS0 quiet",
            "-drive", f"file={self.disk},if=virtio,format=qcow2",
            "-nic", "user,model=virtio-net-pci",
            "-serial", f"file:{os.path.join(self.folder, 'console')}",
            "-serial", "null",  # ttyS1, which nobody answers on
            "-device", "virtio-serial", "-chardev", f"socket,id=commands,path={commands.getsockname()}",
            "-device", "virtserialport,chardev=commands,name=commands",
            "-qmp", f"unix:{monitor.getsockname()}",
            "-device", "qemu-xhci,id=usb", "-chardev", f"serial,id=line,path={self.port}",
            "-device", "usb-serial,id=adapter,chardev=line,bus=usb.0,port=1,serial=FG0001",
        ], stdin=subprocess.DEVNULL)
        self.commands = self.accept(commands, patience)
        self.monitor = self.accept(monitor, patience)
        self.monitor.readline()
        self.ask("qmp_capabilities")

    def listener(self, name):
        path = os.path.join(self.folder, name)
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        return listener

    def accept(self, listener, patience):
        listener.settimeout(patience)
        connection, _ = listener.accept()
        listener.close()
        connection.settimeout(patience)
        return connection.makefile("rw", encoding="ascii")

    def ask(self, command, **arguments):
        """Something of the machine itself."""
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise AssertionError(f"{command}: {answer['error']}")

    def shell(self, command):
        """Run it as root; returns its exit status and what it said. The first one waits for the boot."""
        self.commands.write(base64.b64encode(command.encode()).decode() + "\n")
        self.commands.flush()
        code, said = self.commands.readline().rstrip("\n").split(" ", 1)
        return int(code), base64.b64decode(said).decode(errors="replace").rstrip("\n")

    def run(self, command):
        code, said = self.shell(command)
        if code != 0:
            raise AssertionError(f"{command}: {code}\n{said}")
        return said

    def until(self, command, patience):
        """Run it again and again until it succeeds; what it changes announces itself nowhere."""
        deadline = time.monotonic() + patience
        while True:
            code, said = self.shell(command)
            if code == 0:
                return said
            if time.monotonic() > deadline:
                raise AssertionError(f"{command}: still {code} after {patience} s\n{said}")
            time.sleep(0.3)

    def unplug(self):
        self.ask("device_del", id="adapter")

    def plug(self):
        self.ask("device_add", driver="usb-serial", id="adapter", chardev="line", bus="usb.0", port="1", serial="FG0001")

    def power_cut(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process:
            self.power_cut()
