//! Routes together with their paths, so that a service can say what it serves.

use axum::Router;
use axum::routing::MethodRouter;

/// A router that knows the paths it was made of.
pub struct Routes<S = ()> {
    router: Router<S>,
    paths: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Routes<S> {
        Routes { router: Router::new(), paths: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No route.
    pub fn new() -> Routes<S> {
        Routes::default()
    }

    /// Adds a path with what answers there.
    #[must_use]
    pub fn route(mut self, path: &str, methods: MethodRouter<S>) -> Routes<S> {
        self.paths.push(path.to_owned());
        Routes { router: self.router.route(path, methods), paths: self.paths }
    }

    /// Gives the handlers what they ask for.
    #[must_use]
    pub fn with_state<T>(self, state: S) -> Routes<T> {
        Routes { router: self.router.with_state(state), paths: self.paths }
    }

    /// Adds the routes of another table. No path may be in both.
    #[must_use]
    pub fn merge(mut self, other: Routes<S>) -> Routes<S> {
        self.paths.extend(other.paths);
        Routes { router: self.router.merge(other.router), paths: self.paths }
    }

    /// The paths.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    pub(super) fn router(&self) -> Router<S> {
        self.router.clone()
    }
}
