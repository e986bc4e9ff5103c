use std::task::{Context, Poll, ready};

use fcgi_proto::cgi::FullResponse;
use fcgi_proto::{Error, ErrorKind};
use tokio::task::JoinSet;

use super::{Pool, Request};

impl Pool {
    /// Sends many requests at once and gives all results, in the order of the requests. One failure does not harm the rest.
    ///
    /// The pool's limits hold: what has no connection waits in its queue. Each request is a task of its own, so this must be
    /// called within a tokio runtime.
    ///
    /// ```no_run
    /// # async fn f(pool: fcgi_tokio::Pool) {
    /// use fcgi_tokio::Request;
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
        let mut results: Vec<_> = Vec::new();
        results.resize_with(completed.len(), || None);
        while let Some((index, result)) = completed.next().await {
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }

    /// Sends many requests at once and gives each result as it comes, with the index of its request.
    ///
    /// See [`join_ordered`](Self::join_ordered).
    #[must_use = "dropping it ends the requests"]
    pub fn as_completed(&self, requests: impl IntoIterator<Item = Request>) -> AsCompleted {
        let mut tasks = JoinSet::new();
        for (index, request) in requests.into_iter().enumerate() {
            let pool = self.clone();
            tasks.spawn(async move { (index, pool.call(request).await) });
        }
        AsCompleted { tasks }
    }
}

/// The results of many requests; from [`Pool::as_completed`]. Dropping it ends those that have not completed.
#[derive(Debug)]
pub struct AsCompleted {
    tasks: JoinSet<(usize, Result<FullResponse, Error>)>,
}

impl AsCompleted {
    /// The next result and the index of its request; `None` once all have come.
    ///
    /// # Cancellation
    /// Safe: no result is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<(usize, Result<FullResponse, Error>)> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// How many results have not been taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether all results have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, Result<FullResponse, Error>)>> {
        loop {
            match ready!(self.tasks.poll_join_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(result)) => return Poll::Ready(Some(result)),
                // Aborted with its runtime: there is nothing to tell of it.
                Some(Err(_)) => {}
            }
        }
    }
}

impl futures_core::Stream for AsCompleted {
    type Item = (usize, Result<FullResponse, Error>);

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Self::poll_next(self.get_mut(), cx)
    }
}

/// The error of a request whose task ended without a result, as when its runtime shuts down.
fn lost() -> Error {
    Error::new(ErrorKind::Io)
}
