#!/usr/bin/python3 -IS
# A command of Android's framework inside the simulated phone: the phone's own process answers it over a socket.
# It runs with whatever Python the host has and imports nothing else.
import json
import os
import socket
import struct
import sys

phone = socket.socket(socket.AF_UNIX)
phone.connect("/dev/socket/framework")
words = [sys.argv[0].rpartition("/")[2], *sys.argv[1:]]
phone.sendall(json.dumps({"argv": words}).encode() + b"\n")
if "-S" in words and "install" in words:
    left = int(words[words.index("-S") + 1])
    while left > 0 and (data := os.read(0, min(left, 65536))):
        phone.sendall(data)
        left -= len(data)
answer = phone.makefile("rb")
while True:
    head = answer.read(5)
    if len(head) < 5:
        sys.exit(1)
    kind, length = struct.unpack("<BI", head)
    data = answer.read(length)
    if kind == 3:
        sys.exit(data[0])
    os.write(kind, data)
