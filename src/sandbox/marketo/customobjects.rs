//! Custom objects, by API name.

use super::Request;
use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::objects;

/// Companies are kept like custom objects, but are none.
pub(super) const COMPANY: &str = "Company";

pub(super) fn route(account: &mut Account, request: &Request<'_>, method: &str, path: &[&str]) -> Said {
    if let ("GET", []) = (method, path) {
        let names = request.query_list("names");
        let types = account.object_types.values().filter(|kind| kind.name != COMPANY);
        let types = types.filter(|kind| names.is_empty() || names.contains(&kind.name.as_str()));
        return Ok(result(types.map(|kind| kind.described(request.call.now, false)).collect()));
    }
    let name = path.first().copied().unwrap_or("");
    let kind = account.object_types.get(name).filter(|kind| kind.name != COMPANY).cloned();
    let kind = kind.ok_or_else(|| Refusal::usual(1013))?;
    match (method, path) {
        ("POST", [_]) => objects::sync(account, request, &kind),
        ("GET", [_]) => objects::query(account, request, &kind),
        ("POST", [_, "delete"]) => objects::delete(account, request, &kind),
        ("GET", [_, "describe"]) => Ok(result(vec![kind.described(request.call.now, true)])),
        (_, [_] | [_, "delete" | "describe"]) => Err(Refusal::usual(605)),
        _ => Err(Refusal::usual(610)),
    }
}
