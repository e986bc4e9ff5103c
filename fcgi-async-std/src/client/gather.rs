use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use fcgi_proto::Error;
use fcgi_proto::cgi::FullResponse;
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;

use super::{Pool, Request};

type Numbered = (usize, Result<FullResponse, Error>);

impl Pool {
    /// Sends many requests at once and gives all results, in the order of the requests. One failure does not harm the rest.
    ///
    /// The pool's limits hold: what has no connection waits in its queue.
    ///
    /// ```no_run
    /// # async fn f(pool: fcgi_async_std::Pool) {
    /// use fcgi_async_std::Request;
    ///
    /// let pages = ["/srv/a.php", "/srv/b.php"].map(Request::get);
    /// for result in pool.join_ordered(pages).await {
    ///     match result {
    ///         Ok(page) => println!("{} bytes", page.body().len()),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future ends all of the requests.
    pub async fn join_ordered(
        &self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Vec<Result<FullResponse, Error>> {
        let mut completed = self.as_completed(requests);
        let mut results = Vec::with_capacity(completed.len());
        while let Some(result) = completed.next().await {
            results.push(result);
        }
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Sends many requests at once and gives each result as it comes, with the index of its request.
    ///
    /// See [`join_ordered`](Self::join_ordered). The requests go on only while somebody polls.
    #[must_use = "dropping it ends the requests"]
    pub fn as_completed(&self, requests: impl IntoIterator<Item = Request>) -> AsCompleted {
        let calls = requests.into_iter().enumerate().map(|(index, request)| {
            let pool = self.clone();
            let call = async move { (index, pool.call(request).await) };
            Box::pin(call) as Pin<Box<dyn Future<Output = Numbered> + Send>>
        });
        AsCompleted { calls: calls.collect() }
    }
}

/// The results of many requests; from [`Pool::as_completed`]. Dropping it ends those that have not completed.
#[derive(Debug)]
pub struct AsCompleted {
    calls: FuturesUnordered<Pin<Box<dyn Future<Output = Numbered> + Send>>>,
}

impl AsCompleted {
    /// The next result and the index of its request; `None` once all have come.
    ///
    /// # Cancellation
    /// Safe: no result is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<(usize, Result<FullResponse, Error>)> {
        poll_fn(|cx| Pin::new(&mut self.calls).poll_next(cx)).await
    }

    /// How many results have not been taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether all results have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl Stream for AsCompleted {
    type Item = (usize, Result<FullResponse, Error>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.calls).poll_next(cx)
    }
}
