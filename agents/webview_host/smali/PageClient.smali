# Keeps all pages inside the WebView, and says in the phone's log how a page died.

.class final Ldev/fitmatrix/webviewhost/PageClient;
.super Landroid/webkit/WebViewClient;

# private final Activity activity;
.field private final activity:Landroid/app/Activity;

.method constructor <init>(Landroid/app/Activity;)V
    .registers 2
    invoke-direct {p0}, Landroid/webkit/WebViewClient;-><init>()V
    iput-object p1, p0, Ldev/fitmatrix/webviewhost/PageClient;->activity:Landroid/app/Activity;
    return-void
.end method

# The page's process has crashed, or Android has killed it for memory (then crashed=false).
# Without an answer of ours, Android would kill the whole app without a word of why.
.method public onRenderProcessGone(Landroid/webkit/WebView;Landroid/webkit/RenderProcessGoneDetail;)Z
    .registers 6

    # Log.e("fitmatrix", "renderer gone: crashed=" + detail.didCrash());
    invoke-virtual {p2}, Landroid/webkit/RenderProcessGoneDetail;->didCrash()Z
    move-result v0
    invoke-static {v0}, Ljava/lang/String;->valueOf(Z)Ljava/lang/String;
    move-result-object v0
    const-string v1, "renderer gone: crashed="
    invoke-virtual {v1, v0}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    const-string v1, "fitmatrix"
    invoke-static {v1, v0}, Landroid/util/Log;->e(Ljava/lang/String;Ljava/lang/String;)I

    # activity.finish();
    iget-object v0, p0, Ldev/fitmatrix/webviewhost/PageClient;->activity:Landroid/app/Activity;
    invoke-virtual {v0}, Landroid/app/Activity;->finish()V

    # return true;
    const/4 v0, 0x1
    return v0
.end method
