use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::CellSpec;

struct Fixture {
    _dir: tempfile::TempDir,
    cell: Cell,
    host: Arc<Host>,
}

/// A service with the users `root` (password `secret`) and `visi` (none), without its listener.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = CellSpec { celltype: "cell", confs: &[], envprefixes: &[], version: crate::version::VERSION };
    let headers = Map::new().with("X-Own", "yes");
    let conf = Map::new().with("auth:passwd", "secret").with("https:headers", headers);
    let cell = Cell::open(spec, dir.path(), conf).expect("a cell");
    cell.start().expect("started");
    cell.auth().add_user("visi", None, &Value::Null, None).expect("a user");
    let host = Arc::new(Host::new(cell.clone()).expect("a host"));
    Fixture { _dir: dir, cell, host }
}

impl Fixture {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value, HeaderMap) {
        let mut req = Request::builder().method(method).uri(path);
        for (name, valu) in headers {
            req = req.header(*name, *valu);
        }
        let req = req.body(Body::from(body.to_owned())).expect("a request");
        let routes = self.host.router(([127, 0, 0, 1], 9).into());
        let resp = routes.oneshot(req).await.expect("an answer");
        let (status, headers) = (resp.status().as_u16(), resp.headers().clone());
        let byts = axum::body::to_bytes(resp.into_body(), MAX_BODY).await.expect("a body");
        (status, myelin_value::json::parse(&byts).unwrap_or_default(), headers)
    }
}

fn code(valu: &Value) -> &str {
    valu.get("code").and_then(Value::as_str).unwrap_or_default()
}

fn basic(name: &str, passwd: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{passwd}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_let_in_by_cookie_key_and_password() {
    let fix = fixture();
    let (status, body, headers) = fix.ask("GET", "/api/v1/active", &[], "").await;
    assert_eq!((status, body.get("result")), (200, Some(&Map::new().with("active", true).into())));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-own"], "yes");
    let users = "/api/v1/auth/users";
    let (status, body, headers) = fix.ask("GET", users, &[], "").await;
    assert_eq!((status, code(&body)), (401, "NotAuthenticated"));
    assert_eq!(headers["www-authenticate"], "Basic realm=synapse");

    let good = basic("root", "secret");
    assert_eq!(fix.ask("GET", users, &[("authorization", &good)], "").await.0, 200);
    assert_eq!(fix.ask("GET", users, &[("authorization", &basic("root", "newp"))], "").await.0, 401);
    let root = fix.cell.auth().root().expect("root");
    let (token, _) = fix.cell.add_api_key(root.iden(), "test", None).expect("a key");
    assert_eq!(fix.ask("GET", users, &[("x-api-key", &token)], "").await.0, 200);
    assert_eq!(fix.ask("GET", users, &[("x-api-key", "newp")], "").await.0, 401);

    let login = "/api/v1/login";
    for (body, want) in [
        (r#"{"user": "newp", "passwd": "x"}"#, (404, "AuthDeny")),
        (r#"{"user": "root", "passwd": "x"}"#, (403, "AuthDeny")),
        (r#"{"user": "root"}"#, (400, "SchemaViolation")),
        ("{", (400, "SchemaViolation")),
    ] {
        let (status, answer, _) = fix.ask("POST", login, &[], body).await;
        assert_eq!((status, code(&answer)), want, "{body}");
    }
    let (status, body, headers) = fix.ask("POST", login, &[], r#"{"user": "root", "passwd": "secret"}"#).await;
    assert_eq!((status, body.get("result").and_then(|user| user.get("name"))), (200, Some(&"root".into())));
    let cookie = headers["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
    let cookie = [("cookie", cookie.as_str())];
    assert_eq!(fix.ask("GET", users, &cookie, "").await.0, 200);
    assert_eq!(fix.ask("GET", "/api/v1/logout", &cookie, "").await.0, 200);
    // The session has no user any more, and wins all the same.
    let both = [cookie[0], ("authorization", good.as_str())];
    assert_eq!(fix.ask("GET", users, &both, "").await.0, 401);
    fix.cell.fini().expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_are_kept_over_http() {
    let fix = fixture();
    let good = basic("root", "secret");
    let root = [("authorization", good.as_str())];
    let iden = |answer: &Value| {
        answer.get("result").and_then(|item| item.get("iden")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let body = r#"{"name": "bob", "passwd": "pw", "email": "bob@example.com", "rules": [[true, ["a", "b"]]]}"#;
    let (status, answer, _) = fix.ask("POST", "/api/v1/auth/adduser", &root, body).await;
    assert_eq!(status, 200);
    let bob = iden(&answer);
    assert_eq!(code(&fix.ask("POST", "/api/v1/auth/adduser", &root, body).await.1), "DupUser");
    assert_eq!(code(&fix.ask("POST", "/api/v1/auth/adduser", &root, "{}").await.1), "MissingField");
    let role = iden(&fix.ask("POST", "/api/v1/auth/addrole", &root, r#"{"name": "ops"}"#).await.1);
    let pair = format!(r#"{{"user": "{bob}", "role": "{role}"}}"#);
    let (_, answer, _) = fix.ask("POST", "/api/v1/auth/grant", &root, &pair).await;
    let roles = answer.get("result").and_then(|user| user.get("roles")).and_then(Value::as_list).map(<[Value]>::to_vec);
    assert!(roles.is_some_and(|roles| roles.contains(&role.as_str().into())));
    assert_eq!(fix.ask("POST", "/api/v1/auth/revoke", &root, &pair).await.0, 200);

    let as_bob = basic("bob", "pw");
    let as_bob = [("authorization", as_bob.as_str())];
    let (status, answer, _) = fix.ask("POST", "/api/v1/auth/adduser", &as_bob, "{}").await;
    assert_eq!((status, code(&answer)), (403, "AuthDeny"));
    assert_eq!(fix.ask("GET", "/api/v1/healthcheck", &as_bob, "").await.0, 403);
    assert_eq!(fix.ask("GET", "/api/v1/healthcheck", &root, "").await.0, 200);
    let path = format!("/api/v1/auth/user/{bob}");
    assert_eq!(fix.ask("GET", &path, &as_bob, "").await.0, 200);
    assert_eq!(fix.ask("GET", "/api/v1/auth/user/newp", &as_bob, "").await.0, 404);
    assert_eq!(fix.ask("POST", &path, &root, r#"{"locked": true}"#).await.0, 200);
    assert_eq!(fix.ask("GET", &path, &as_bob, "").await.0, 401);
    fix.cell.fini().expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_routes_know_who_asks() {
    let fix = fixture();
    let mine = async |Who(user): Who| Reply(user.name().into());
    fix.cell.add_routes(Routes::new().route("/api/v1/mine", axum::routing::get(mine)));
    let good = basic("root", "secret");
    let (_, answer, _) = fix.ask("GET", "/api/v1/mine", &[("authorization", &good)], "").await;
    assert_eq!(answer.get("result"), Some(&"root".into()));
    assert_eq!(fix.ask("GET", "/api/v1/newp", &[], "").await.0, 404);
    assert_eq!(fix.ask("OPTIONS", "/api/v1/mine", &[], "").await.0, 204);
    let page = [("origin", "https://here:8443"), ("host", "here:8443")];
    assert_eq!(fix.ask("GET", "/api/v1/active", &page, "").await.2["access-control-allow-origin"], page[0].1);
    let page = [("origin", "https://there"), ("host", "here:8443")];
    assert!(!fix.ask("GET", "/api/v1/active", &page, "").await.2.contains_key("access-control-allow-origin"));
    fix.cell.fini().expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_right_a_moment_ago_is_checked_quickly_and_not_for_longer_than_it_is_right() {
    let fix = fixture();
    let (active, users) = ("/api/v1/active", "/api/v1/auth/users");
    let auth = fix.cell.auth();
    let visi = auth.user_by_name("visi").expect("a user");
    auth.set_passwd(&visi, &"one".into(), false).expect("a password");
    auth.set_admin(&visi, true, None).expect("an admin");
    let ask = async |passwd: &str| fix.ask("GET", users, &[("authorization", &basic("visi", passwd))], "").await.0;
    assert_eq!((ask("one").await, ask("two").await), (200, 401));
    let begun = std::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(ask("one").await, 200);
    }
    // Each would take some 50 ms otherwise, optimised.
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(ask("two").await, 401);
    auth.set_passwd(&visi, &"two".into(), false).expect("a password");
    assert_eq!((ask("one").await, ask("two").await), (401, 200));
    auth.set_locked(&visi, true).expect("locked");
    assert_eq!(ask("two").await, 401);
    auth.set_locked(&visi, false).expect("unlocked");
    assert_eq!(ask("two").await, 200);
    auth.set_passwd(&visi, &Value::Null, false).expect("no password");
    assert_eq!(ask("two").await, 401);
    auth.set_passwd(&visi, &"two".into(), false).expect("a password");
    assert_eq!(ask("two").await, 200);
    auth.del_user(visi.iden()).expect("deleted");
    assert_eq!(ask("two").await, 401);
    assert_eq!(fix.ask("GET", active, &[("authorization", &basic("visi", "two"))], "").await.0, 200);
}
