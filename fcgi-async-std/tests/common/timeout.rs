use core::time::Duration;

use smol::Timer;
use smol::future::or;

/// `None` when a future takes longer than that.
pub(crate) async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    or(async { Some(future.await) }, async {
        Timer::after(limit).await;
        None
    })
    .await
}
