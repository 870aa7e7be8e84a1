//! The ServiceAccount of the chat pods: a name and nothing else, no token and no rights. Pure: no I/O.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{CHAT, Child, Context, Kind};

pub fn chat(context: &Context<'_>) -> Child {
    let account = ServiceAccount {
        metadata: context.metadata(context.names().service_account(), CHAT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    super::child(Kind::ServiceAccount, &account)
}
