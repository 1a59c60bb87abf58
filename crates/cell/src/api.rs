//! What peers may call of any service, as one row a method. A service's own table extends this one.

mod auth;
mod ops;

use std::sync::{Arc, OnceLock};

use myelin_error::{Error, Result, err};
use myelin_telepath::{Args, MethTable, Session, TableApi};
use myelin_value::{Map, Value};

use crate::{Cell, User};

/// A service as one logged-in user sees it.
pub struct CellApi {
    cell: Cell,
    login: User,
    switched: OnceLock<User>,
    session: Arc<Session>,
}

impl CellApi {
    /// The API of a user who has logged in over a session.
    pub fn new(cell: Cell, user: User, session: Arc<Session>) -> CellApi {
        session.set_user(&**user.iden(), &*user.name());
        CellApi { cell, login: user, switched: OnceLock::new(), session }
    }

    /// The service.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Who calls.
    pub fn user(&self) -> &User {
        self.switched.get().unwrap_or(&self.login)
    }

    /// Fails with `AuthDeny` unless the caller is an admin.
    pub fn req_admin(&self) -> Result<()> {
        let user = self.user();
        if user.is_admin(None) {
            return Ok(());
        }
        let mesg = format!("User is not an admin [{}]", user.name());
        Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()))
    }

    fn set_user(&self, iden: &str) -> Result<Value> {
        let caller = self.user();
        if !caller.is_admin(None) {
            let mesg = "Only an admin may become another user.";
            return Err(err!("AuthDeny", mesg = mesg, user = caller.iden(), username = caller.name()));
        }
        let user = self.cell.auth().req_user(iden)?;
        if user.is_locked() {
            let mesg = format!("User ({}) is locked.", user.name());
            return Err(err!("AuthDeny", mesg = mesg, user = user.iden(), username = user.name()));
        }
        self.session.set_user(&**user.iden(), &*user.name());
        if self.switched.set(user).is_err() {
            return Err(err!("BadState", mesg = "The session has become another user already."));
        }
        Ok(Value::Bool(true))
    }
}

impl TableApi for CellApi {
    const CLASSES: &'static [&'static str] = &["synapse.lib.cell.CellApi", "synapse.lib.base.Base"];

    fn table() -> &'static MethTable<CellApi> {
        static TABLE: OnceLock<MethTable<CellApi>> = OnceLock::new();
        TABLE.get_or_init(|| ops::add(auth::add(MethTable::new())))
    }
}

/// A method for admins.
fn admin<F>(table: MethTable<CellApi>, name: &'static str, sig: &'static str, func: F) -> MethTable<CellApi>
where
    F: Fn(&CellApi, &Args) -> Result<Value> + Send + Sync + 'static,
{
    table.blocking(name, sig, move |api, _, args| {
        api.req_admin()?;
        func(api, &args)
    })
}

/// A method for admins that is logged.
fn logged<F>(table: MethTable<CellApi>, name: &'static str, sig: &'static str, func: F) -> MethTable<CellApi>
where
    F: Fn(&CellApi, &Args) -> Result<Value> + Send + Sync + 'static,
{
    admin(table, name, sig, move |api, args| {
        tracing::info!(func = name, username = %api.user().name(), "an admin method was called");
        func(api, args)
    })
}

/// A method that this build does not have.
fn missing(table: MethTable<CellApi>, names: &[&'static str]) -> MethTable<CellApi> {
    names.iter().fold(table, |table, name| {
        let name = *name;
        table.blocking(name, "*args, **kwargs", move |_, _, _| -> Result<Value> { Err(Error::not_supported(name)) })
    })
}

fn null(done: Result<()>) -> Result<Value> {
    done.map(|()| Value::Null)
}

fn packed(maps: impl IntoIterator<Item = Map>) -> Value {
    maps.into_iter().map(Value::from).collect()
}

/// A list of texts, as a permission is sent.
fn perm_of(args: &Args, name: &str) -> Result<Vec<String>> {
    let bad = || err!("BadArg", mesg = format!("The argument {name} must be a list of str."), name = name);
    let list = args.get(name).as_list().ok_or_else(bad)?;
    list.iter().map(|part| part.as_str().map(str::to_owned).ok_or_else(bad)).collect()
}
