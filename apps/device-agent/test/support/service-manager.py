# The receiving side of systemd-notify: binds the socket of its first argument, and writes each message as a line
# of JSON. After WATCHDOG=1 the next one must arrive within its second argument in milliseconds, or it writes "starved".
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
    # Closing the barrier tells systemd-notify that all messages before it were read.
    if message.startswith("BARRIER=1"):
        continue
    if message.startswith("WATCHDOG=1"):
        notify.settimeout(int(sys.argv[2]) / 1000)
    print(json.dumps(message), flush=True)
