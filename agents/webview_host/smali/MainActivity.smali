# Shows the page that the intent names, or about:blank, in the system's WebView.
# Assembler, since Debian has no compiler from Java to Android's bytecode. In Java it would read as the comments do.

.class public final Ldev/fitmatrix/webviewhost/MainActivity;
.super Landroid/app/Activity;

.method public constructor <init>()V
    .registers 1
    invoke-direct {p0}, Landroid/app/Activity;-><init>()V
    return-void
.end method

.method protected onCreate(Landroid/os/Bundle;)V
    .registers 6

    # super.onCreate(state);
    invoke-super {p0, p1}, Landroid/app/Activity;->onCreate(Landroid/os/Bundle;)V

    # Without this nobody could look into the page, on a phone as it is sold.
    # WebView.setWebContentsDebuggingEnabled(true);
    const/4 v0, 0x1
    invoke-static {v0}, Landroid/webkit/WebView;->setWebContentsDebuggingEnabled(Z)V

    # A screen that goes dark would put the page to sleep.
    # getWindow().addFlags(FLAG_KEEP_SCREEN_ON);
    invoke-virtual {p0}, Landroid/app/Activity;->getWindow()Landroid/view/Window;
    move-result-object v1
    const/16 v2, 0x80
    invoke-virtual {v1, v2}, Landroid/view/Window;->addFlags(I)V

    # WebView view = new WebView(this);
    new-instance v1, Landroid/webkit/WebView;
    invoke-direct {v1, p0}, Landroid/webkit/WebView;-><init>(Landroid/content/Context;)V

    # WebSettings settings = view.getSettings();
    # settings.setJavaScriptEnabled(true);
    # settings.setDomStorageEnabled(true);
    # settings.setAllowFileAccess(false);
    # settings.setAllowContentAccess(false);
    invoke-virtual {v1}, Landroid/webkit/WebView;->getSettings()Landroid/webkit/WebSettings;
    move-result-object v2
    invoke-virtual {v2, v0}, Landroid/webkit/WebSettings;->setJavaScriptEnabled(Z)V
    invoke-virtual {v2, v0}, Landroid/webkit/WebSettings;->setDomStorageEnabled(Z)V
    const/4 v3, 0x0
    invoke-virtual {v2, v3}, Landroid/webkit/WebSettings;->setAllowFileAccess(Z)V
    invoke-virtual {v2, v3}, Landroid/webkit/WebSettings;->setAllowContentAccess(Z)V

    # view.setWebViewClient(new PageClient(this));
    new-instance v2, Ldev/fitmatrix/webviewhost/PageClient;
    invoke-direct {v2, p0}, Ldev/fitmatrix/webviewhost/PageClient;-><init>(Landroid/app/Activity;)V
    invoke-virtual {v1, v2}, Landroid/webkit/WebView;->setWebViewClient(Landroid/webkit/WebViewClient;)V

    # setContentView(view);
    invoke-virtual {p0, v1}, Landroid/app/Activity;->setContentView(Landroid/view/View;)V

    # String address = getIntent().getDataString();
    # view.loadUrl(address == null ? "about:blank" : address);
    invoke-virtual {p0}, Landroid/app/Activity;->getIntent()Landroid/content/Intent;
    move-result-object v2
    invoke-virtual {v2}, Landroid/content/Intent;->getDataString()Ljava/lang/String;
    move-result-object v2
    if-nez v2, :load
    const-string v2, "about:blank"
    :load
    invoke-virtual {v1, v2}, Landroid/webkit/WebView;->loadUrl(Ljava/lang/String;)V
    return-void
.end method
