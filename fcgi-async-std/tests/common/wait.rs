use core::time::Duration;
use std::time::Instant;

use smol::Timer;

/// Waits for something that nobody tells of, but not for ever.
#[track_caller]
pub(crate) fn wait_until(mut is_there: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = core::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !is_there() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing happens at {caller}");
            Timer::after(Duration::from_millis(2)).await;
        }
    }
}
