"""A simulated Android phone that real adb, chromedriver and Appium drive: the project's own test double.

It is a process (`python -m tests.phone`): the device side of adb over TCP, a shell in namespaces of its own, and
Chromium behind the DevTools sockets that Chrome and a WebView open on Android. `README.md` beside this file says what
is real and what is not.
"""
