"""Mounts a FUSE file system at the given folder that takes every question and answers none.

The kernel has handed the question over, so that not even SIGKILL ends the program that waits for its answer. It says
"ready" when it is mounted. When this process ends, the kernel fails everything that waits with ENOTCONN.
"""

import ctypes
import os
import struct
import sys

folder = sys.argv[1]
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL("libc.so.6", use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"hangs", folder.encode(), b"fuse.hangs", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")

# The first question is FUSE_INIT; only its answer lets the others through.
question = os.read(device, 1 << 20)
length, opcode, unique = struct.unpack_from("<IIQ", question)
assert opcode == 26, opcode
answer = struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 9, 65536, 1, 32, 0, 0).ljust(64, b"\0")
os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
print("ready", flush=True)
while True:
    os.read(device, 1 << 20)
