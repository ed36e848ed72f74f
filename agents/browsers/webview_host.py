"""Our app that shows a page in the system's WebView: where it lies once it is built (`agents/webview_host`)."""

from pathlib import Path
from typing import Final

HOST_PACKAGE: Final = "dev.fitmatrix.webviewhost"
HOST_SOURCES: Final = Path(__file__).parent.parent / "webview_host"
HOST_APP: Final = HOST_SOURCES / "dist" / "webviewhost.apk"
NOT_BUILT: Final = (
    "the app that shows pages in a WebView is not built: run `make webview-host`, or agents/webview_host/build.sh "
    "where there is no make."
)
