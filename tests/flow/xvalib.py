# SPDX-License-Identifier: Apache-2.0
"""XVA archives in Python, for tests: read strictly, and written in any shape.

Written from the description of the format, not from the C. Standard library
only, hence slow: for disks of a few MiB.
"""
import gzip
import hashlib
import io
import subprocess
import tarfile
import xmlrpc.client

MIB = 1 << 20
MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F,
                      0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                      0x27D4EB2F165667C5)


class Broken(Exception):
    """The archive is not what an exporter writes."""


def _rotate(x, n):
    return (x << n | x >> (64 - n)) & MASK


def _round(acc, word):
    return _rotate((acc + word * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """XXH64 with seed 0."""
    n, at = len(data), 0
    if n >= 32:
        lanes = [(P1 + P2) & MASK, P2, 0, (-P1) & MASK]
        words = memoryview(data[:n // 32 * 32]).cast("Q")
        for i in range(0, len(words), 4):
            for k in range(4):
                lanes[k] = _round(lanes[k], words[i + k])
        at = n // 32 * 32
        h = sum(_rotate(v, r) for v, r in zip(lanes, (1, 7, 12, 18))) & MASK
        for v in lanes:
            h = ((h ^ _round(0, v)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + n) & MASK
    while at + 8 <= n:
        word = int.from_bytes(data[at:at + 8], "little")
        h = (_rotate(h ^ _round(0, word), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= n:
        word = int.from_bytes(data[at:at + 4], "little")
        h = (_rotate(h ^ word * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = _rotate(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def checksum(data, kind):
    """The text of a checksum entry of kind "xxhash" or "checksum" (SHA-1)."""
    if kind == "xxhash":
        return "%016X" % xxh64(data)
    return hashlib.sha1(data).hexdigest()


def uncompress(data):
    """A body of /export, whatever it was compressed with."""
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=data, check=True,
                              stdout=subprocess.PIPE).stdout
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


class Entry:
    """name, data, header (512 bytes)."""

    def __init__(self, name, data, header):
        self.name, self.data, self.header = name, data, header


def entries(data):
    """All entries of a tar, which must end in two blocks of zeros and no byte
    more."""
    found, at = [], 0
    while True:
        header = data[at:at + 512]
        if len(header) < 512:
            raise Broken("the archive ends in the middle")
        if header == bytes(512):
            break
        sums = sum(header[:148]) + 8 * 32 + sum(header[156:])
        if int(header[148:156].strip(b"\0 ") or b"0", 8) != sums:
            raise Broken("the checksum of a header is wrong")
        size = int(header[124:136].strip(b"\0 "), 8)
        body = data[at + 512:at + 512 + size]
        if len(body) < size:
            raise Broken("the archive ends in the middle")
        found.append(Entry(header[:100].rstrip(b"\0").decode(), body, header))
        at += 512 + (size + 511) // 512 * 512
    if data[at:] != bytes(1024):
        raise Broken("what follows the last entry is not two blocks of zeros")
    return found


class Xva:
    """An archive, read. .ova is ova.xml as Python values, .disks maps ids to
    bytes, .kinds are the kinds of checksum seen."""

    def __init__(self, data):
        found = entries(uncompress(data))
        if not found or found[0].name != "ova.xml":
            raise Broken("ova.xml is not the first entry")
        self.xml = found[0].data
        self.ova = xmlrpc.client.loads(
            b"<params><param>" + self.xml + b"</param></params>")[0][0]
        self.kinds, self.names = set(), [e.name for e in found]
        self.disks = {}
        self.sizes = {o["id"]: int(o["snapshot"]["virtual_size"])
                      for o in self.objects("VDI")}
        self._read(found[1:])
        for disk, content in self.disks.items():
            if len(content) != self.sizes[disk]:
                raise Broken("%s has %d bytes of %d" % (
                    disk, len(content), self.sizes[disk]))

    def objects(self, cls):
        return [o for o in self.ova["objects"] if o["class"] == cls]

    def record(self, cls, ref):
        for o in self.objects(cls):
            if o["id"] == ref:
                return o["snapshot"]
        raise Broken("no %s %s" % (cls, ref))

    def disk_of(self, device):
        """The bytes of the disk with this userdevice."""
        for o in self.objects("VBD"):
            if o["snapshot"]["userdevice"] == device:
                return self.disks[o["snapshot"]["VDI"]]
        raise Broken("no disk %s" % device)

    def _read(self, found):
        unit, last_id = None, ""
        nexts = {}
        for i in range(0, len(found), 2):
            block, sums = found[i], found[i + 1:i + 2]
            ref, _, number = block.name.partition("/")
            if ref < last_id:
                raise Broken("the disks are out of order")
            last_id = ref
            kind = sums[0].name[len(block.name) + 1:] if sums else ""
            if not sums or not sums[0].name.startswith(block.name + ".") or \
                    kind not in ("xxhash", "checksum"):
                raise Broken("%s has no checksum" % block.name)
            self.kinds.add(kind)
            if sums[0].data.decode() != checksum(block.data, kind):
                raise Broken("%s: the checksum is wrong" % block.name)
            unit = len(block.data) if unit is None else unit
            gap = int(number) - nexts.get(ref, 0)
            if len(number) < 8 or gap < 0:
                raise Broken("%s is out of order" % block.name)
            nexts[ref] = int(number) + 1
            self.disks.setdefault(ref, bytearray()).extend(bytes(gap * unit))
            self.disks[ref].extend(block.data)


def value(x):
    """A Python value as XAPI would write it."""
    if isinstance(x, bool):
        return "<value><boolean>%d</boolean></value>" % x
    if isinstance(x, float):
        return "<value><double>%r</double></value>" % x
    if isinstance(x, dict):
        return "<value><struct>%s</struct></value>" % "".join(
            "<member><name>%s</name>%s</member>" % (escape(k), value(v))
            for k, v in x.items())
    if isinstance(x, (list, tuple)):
        return "<value><array><data>%s</data></array></value>" % "".join(
            map(value, x))
    if isinstance(x, xmlrpc.client.DateTime):
        return ("<value><dateTime.iso8601>%s</dateTime.iso8601></value>"
                % x.value)
    return "<value>%s</value>" % escape(str(x))


def escape(text):
    return (text.replace("&", "&amp;").replace("<", "&lt;")
            .replace(">", "&gt;").replace('"', "&quot;"))


class Builder:
    """Writes an archive, entry by entry, right or wrong."""

    def __init__(self, format=tarfile.USTAR_FORMAT):
        self.out, self.format = io.BytesIO(), format

    def entry(self, name, data):
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o400
        self.out.write(info.tobuf(self.format))
        self.out.write(data + bytes(-len(data) % 512))
        return self

    def block(self, ref, number, data, kind="xxhash", sums=None):
        name = "%s/%08d" % (ref, number)
        self.entry(name, data)
        if kind:
            self.entry("%s.%s" % (name, kind),
                       (sums or checksum(data, kind)).encode())
        return self

    def disk(self, ref, data, kind="xxhash"):
        """All blocks but those of zeros between the first and the last."""
        last = (len(data) - 1) // MIB
        for n in range(last + 1):
            part = bytes(data[n * MIB:(n + 1) * MIB])
            if n in (0, last) or part.strip(b"\0"):
                self.block(ref, n, part, kind)
        return self

    def bytes(self, end=True):
        return self.out.getvalue() + (bytes(1024) if end else b"")


VM_FIELDS = dict(
    name_label="built", name_description="", user_version=1,
    is_a_template=False, affinity="OpaqueRef:NULL",
    memory_static_max=536870912, memory_static_min=536870912,
    memory_dynamic_max=536870912, memory_dynamic_min=536870912,
    VCPUs_params={}, VCPUs_max=1, VCPUs_at_startup=1,
    actions_after_shutdown="destroy", actions_after_reboot="restart",
    actions_after_crash="restart", PV_bootloader="", PV_kernel="",
    PV_ramdisk="", PV_args="", PV_bootloader_args="", PV_legacy_args="",
    HVM_boot_policy="BIOS order", HVM_boot_params={"order": "cdn"},
    platform={}, PCI_bus="", other_config={}, recommendations="",
    power_state="halted")


def minimal_ova(sizes, version=(1, 20), vm=None, network=None):
    """ova.xml with no more than an importer needs: one VM, and a disk for each
    id of `sizes`."""
    objects = [("VM", "Ref:000", dict(VM_FIELDS, **(vm or {}))),
               ("SR", "Ref:001", {"uuid": "none", "content_type": "user"})]
    for i, (ref, size) in enumerate(sizes.items()):
        objects.append(("VDI", ref, dict(
            SR="Ref:001", virtual_size=size, type="user", sharable=False,
            read_only=False, other_config={}, name_label=ref)))
        objects.append(("VBD", "Ref:9%02d" % i, dict(
            VM="Ref:000", VDI=ref, userdevice=str(i), bootable=i == 0,
            mode="RW", type="Disk", empty=False, other_config={},
            qos_algorithm_type="", qos_algorithm_params={})))
    if network:
        objects.append(("network", "Ref:800", network))
        objects.append(("VIF", "Ref:801", dict(
            device="0", network="Ref:800", VM="Ref:000",
            MAC="02:11:22:33:44:55", MTU=1500, other_config={},
            qos_algorithm_type="", qos_algorithm_params={})))
    return value({
        "version": dict(hostname="h", date="2026-01-01",
                        product_version="8.2.1", product_brand="XCP-ng",
                        build_number="b", xapi_major=version[0],
                        xapi_minor=version[1], export_vsn=2),
        "objects": [dict([("class", c), ("id", i), ("snapshot", r)])
                    for c, i, r in objects]}).encode()
