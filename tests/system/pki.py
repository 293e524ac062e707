"""A certification authority for tests, over openssl's command line."""

import os
import subprocess
import time

CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:false
{names}
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")


def stamp(offset_s):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset_s))


NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        os.makedirs(folder)
        self.ca = os.path.join(folder, "ca.pem")
        open(os.path.join(folder, "index"), "w").close()
        with open(os.path.join(folder, "serial"), "w") as file:
            file.write("1000\n")
        run("openssl", "req", "-x509", *NEW_KEY, "-keyout", f"{folder}/ca.key", "-out", self.ca, "-subj", f"/CN={name}", "-days", "30")

    def issue(self, name, subject_names="", valid_from_s=-3600, valid_until_s=3600):
        """Returns the paths of a certificate and its key. `subject_names` is such as "DNS:localhost,IP:127.0.0.1"."""
        base = os.path.join(self.folder, name.replace("/", "_"))
        config = f"{base}.cnf"
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=self.folder, names=f"subjectAltName = {subject_names}" if subject_names else ""))
        run("openssl", "req", *NEW_KEY, "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={name}")
        run(
            "openssl", "ca", "-batch", "-notext", "-config", config, "-in", f"{base}.csr", "-out", f"{base}.pem",
            "-startdate", stamp(valid_from_s), "-enddate", stamp(valid_until_s),
        )
        return f"{base}.pem", f"{base}.key"


def self_signed(folder, name):
    base = os.path.join(folder, name)
    run(
        "openssl", "req", "-x509", *NEW_KEY, "-keyout", f"{base}.key", "-out", f"{base}.pem", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName = DNS:{name}", "-addext", "basicConstraints = critical,CA:false", "-days", "2",
    )
    return f"{base}.pem", f"{base}.key"
