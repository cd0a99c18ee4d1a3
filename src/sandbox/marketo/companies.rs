//! Companies, told apart by `externalCompanyId`.

use super::Request;
use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::customobjects::COMPANY;
use super::fields::Field;
use super::objects::{self, ObjectType};

/// What a company has.
pub(super) fn company() -> ObjectType {
    let field = Field::standard;
    ObjectType {
        name: COMPANY.to_owned(),
        display_name: Some("Company".to_owned()),
        id_field: "id".to_owned(),
        dedupe_fields: vec!["externalCompanyId".to_owned()],
        searchable_fields: vec!["company".to_owned()],
        fields: vec![
            field("externalCompanyId", "External Company Id", "string", 100),
            field("company", "Company Name", "string", 255),
            field("industry", "Industry", "string", 255),
            field("website", "Website", "url", 255),
            field("mainPhone", "Main Phone", "phone", 255),
            field("annualRevenue", "Annual Revenue", "currency", 0),
            field("numberOfEmployees", "Number of Employees", "integer", 0),
            field("billingCity", "Billing City", "string", 255),
            field("billingState", "Billing State", "string", 255),
            field("billingCountry", "Billing Country", "string", 255),
        ],
    }
}

pub(super) fn route(account: &mut Account, request: &Request<'_>, method: &str, path: &[&str]) -> Said {
    let kind = account.object_types.get(COMPANY).cloned().ok_or_else(|| Refusal::usual(1013))?;
    match (method, path) {
        ("POST", []) => objects::sync(account, request, &kind),
        ("GET", []) => objects::query(account, request, &kind),
        ("POST", ["delete"]) => objects::delete(account, request, &kind),
        ("GET", ["describe"]) => {
            let mut shown = kind.described(request.call.now, true);
            if let Some(shown) = shown.as_object_mut() {
                shown.insert("name".to_owned(), "Company".into());
            }
            Ok(result(vec![shown]))
        }
        _ => Err(Refusal::usual(605)),
    }
}
