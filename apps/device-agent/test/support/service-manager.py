# The half of systemd that listens: binds the socket of its first argument, and writes each message it gets as a line
# of JSON. After WATCHDOG=1 the next one must come within the milliseconds of its second argument, or it says "starved".
import json
import socket
import sys

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(sys.argv[1])
print(json.dumps("listening"), flush=True)
while True:
    try:
        message = notify.recv(4096).decode()
    except socket.timeout:
        notify.settimeout(None)
        message = "starved"
    # The barrier is how systemd-notify learns that all before it has been read.
    if message.startswith("BARRIER=1"):
        continue
    if message.startswith("WATCHDOG=1"):
        notify.settimeout(int(sys.argv[2]) / 1000)
    print(json.dumps(message), flush=True)
