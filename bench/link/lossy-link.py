"""Runs a command behind a bad network.

    unshare -n python3 lossy-link.py '{"loss": 0.35, "delayMs": 300, "bytesPerSecond": 0}' command argument ...

The command runs in a network of its own, from which only 10.99.0.1 can be reached: this end of the link. Packets pass
two TUN devices and this program, which loses each with the probability `loss`, in both directions, and delivers it
`delayMs` later. With `bytesPerSecond`, those that would wait longer than `queueMs` (2,000) are dropped as well. A line
of JSON on the standard input changes the link. It needs CAP_NET_ADMIN in its network and /dev/net/tun.
"""

import array
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
MTU = 1500


def open_tun(address):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"badlink", IFF_TUN_NO_PI))
    for command in (
        f"ip address add {address}/30 dev badlink",
        "ip link set dev badlink up",
        "ip link set dev lo up",
    ):
        subprocess.run(command.split(), check=True)
    return tun


def run_inside(command, channel):
    """The far end: a new network, whose TUN device the parent gets. Never returns."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    tun = open_tun("10.99.0.2")
    channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tun]))])
    os.execvp(command[0], command)


class Direction:
    def __init__(self, source, target):
        self.source, self.target = source, target
        self.free_at = 0.0


def main():
    link = {"loss": 0, "delayMs": 0, "bytesPerSecond": 0, "queueMs": 2000, **json.loads(sys.argv[1])}
    near = open_tun("10.99.0.1")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        run_inside(sys.argv[2:], theirs)
    theirs.close()
    # If the child fails, it closes its end, and the read returns nothing.
    ours.settimeout(10)
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_LEN(4))
    far = array.array("i", ancillary[0][2])[0]
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))

    directions = {near: Direction(near, far), far: Direction(far, near)}
    watched = [near, far, 0]
    flying = []
    count = 0
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid != 0:
            sys.exit(os.waitstatus_to_exitcode(status))
        now = time.monotonic()
        while flying and flying[0][0] <= now:
            _, _, target, packet = heapq.heappop(flying)
            try:
                os.write(target, packet)
            except OSError:
                pass  # The interface's queue is full, so the packet is dropped.
        timeout = min(0.2, flying[0][0] - now) if flying else 0.2
        for ready in select.select(watched, [], [], timeout)[0]:
            if ready == 0:
                line = sys.stdin.readline()
                if line == "":
                    watched.remove(0)
                else:
                    link.update(json.loads(line))
                continue
            direction = directions[ready]
            packet = os.read(ready, MTU)
            if random.random() < link["loss"]:
                continue
            now = time.monotonic()
            sent_at = now
            if link["bytesPerSecond"] > 0:
                sent_at = max(now, direction.free_at) + len(packet) / link["bytesPerSecond"]
                if sent_at - now > link["queueMs"] / 1000:
                    continue
                direction.free_at = sent_at
            count += 1
            heapq.heappush(flying, (sent_at + link["delayMs"] / 1000, count, direction.target, packet))


main()
