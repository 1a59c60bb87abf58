//! `$lib.inet.http.oauth`: signing requests (v1), and tokens of users at providers (v2).

mod v1;

use myelin_storm::{Arg, Dflt, Flow, FuncDef, Item, LibDef, Registry, Rt};
use myelin_value::Value;

use crate::libs::util::{core, data};

static V2: LibDef = LibDef {
    path: "inet.http.oauth.v2",
    funcs: &[
        FuncDef::rw("addProvider", &[Arg::req("conf")], |rt, _, args| {
            admin(rt, "addProvider")?;
            core(rt)?.oauth.add_provider(&core(rt)?.stack, args.prim(rt, 0)?)?;
            Ok(Item::NULL)
        }),
        FuncDef::rw("delProvider", &[Arg::req("iden")], |rt, _, args| {
            admin(rt, "delProvider")?;
            Ok(Item::Val(core(rt)?.oauth.del_provider(&args.str(rt, 0)?)?))
        }),
        FuncDef::rw("getProvider", &[Arg::req("iden")], |rt, _, args| {
            admin(rt, "getProvider")?;
            Ok(core(rt)?.oauth.provider(&args.str(rt, 0)?)?.map_or(Item::NULL, |conf| Item::Val(conf.into())))
        }),
        FuncDef::rw("listProviders", &[], |rt, _, _| {
            admin(rt, "listProviders")?;
            let pairs = core(rt)?.oauth.providers()?;
            Ok(data(pairs.into_iter().map(|(iden, conf)| Value::list([iden.into(), conf.into()])).collect::<Value>()))
        }),
        FuncDef::rw(
            "setUserAuthCode",
            &[Arg::req("iden"), Arg::req("authcode"), Arg::opt("code_verifier", Dflt::Null)],
            |rt, _, args| {
                let (iden, code, verifier) = (args.str(rt, 0)?, args.str(rt, 1)?, args.opt_str(rt, 2)?);
                let oauth = &core(rt)?.oauth;
                oauth.set_code(rt.host(), &iden, rt.user().iden(), &code, verifier.as_deref())?;
                Ok(Item::NULL)
            },
        ),
        FuncDef::rw("getUserAccessToken", &[Arg::req("iden")], |rt, _, args| {
            let (ok, token) = core(rt)?.oauth.access_token(&args.str(rt, 0)?, rt.user().iden())?;
            Ok(Item::Val(Value::list([ok.into(), token])))
        }),
        FuncDef::rw("clearUserAccessToken", &[Arg::req("iden")], |rt, _, args| {
            Ok(Item::Val(core(rt)?.oauth.clear(&args.str(rt, 0)?, rt.user().iden())?))
        }),
    ],
    consts: &[],
};

/// Puts the libraries into the registry.
pub fn register(registry: &mut Registry) {
    registry.add_objects(&[&v1::CLIENT]);
    registry.add_lib(&v1::LIB);
    registry.add_lib(&V2);
}

fn admin(rt: &Rt, func: &str) -> Flow<()> {
    rt.req_admin(None, Some(&format!("Only an admin may call $lib.inet.http.oauth.v2.{func}().")))
}
