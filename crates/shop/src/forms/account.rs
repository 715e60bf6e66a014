//! Signing in and making an account, as forms.

use super::Fields;
use crate::answer::{self, Answer, Problem};
use crate::limits;
use crate::pages;
use crate::service::{Front, field};
use hyper::header::SET_COOKIE;
use sale::BuyerId;

pub(super) fn sign_in_view(
    front: &Front,
    next: &str,
    signed_in: Option<String>,
) -> pages::SignInView {
    pages::SignInView {
        site: front.shop.site.clone(),
        next: pages::safe_next(next).to_owned(),
        signed_in,
        email: String::new(),
        name: String::new(),
        sign_in_error: None,
        create_error: None,
        password_chars_min: limits::PASSWORD_CHARS_MIN as u32,
    }
}

fn welcome(front: &Front, buyer: BuyerId, next: &str) -> Answer {
    let expires_ms = front.desk.now().0 + front.shop.session_ms;
    let session = front.shop.sessions.issue(buyer, expires_ms);
    let mut answer = answer::see_other(pages::safe_next(next));
    let cookie = front.shop.cookie(&session, front.shop.session_ms / 1_000);
    answer.headers_mut().insert(SET_COOKIE, cookie);
    answer
}

pub(super) async fn sign_in(front: &Front, form: &Fields) -> Result<Answer, Problem> {
    let text = |name| field(form, name).unwrap_or_default();
    let (email, next) = (text("email"), text("next"));
    match front.shop.people.sign_in(email, text("password")).await {
        Ok(buyer) => Ok(welcome(front, buyer, next)),
        Err(problem) => {
            let mut view = sign_in_view(front, next, None);
            view.email = email.to_owned();
            view.sign_in_error = Some(problem.detail);
            let status = problem.code.meaning().status;
            Ok(answer::page(pages::personal(
                status,
                pages::render_sign_in(&view),
            )))
        }
    }
}

pub(super) async fn create_account(front: &Front, form: &Fields) -> Result<Answer, Problem> {
    let text = |name| field(form, name).unwrap_or_default();
    let (email, name, next) = (text("email"), text("name"), text("next"));
    match front
        .shop
        .people
        .create(email, name, text("password"))
        .await
    {
        Ok(buyer) => Ok(welcome(front, buyer, next)),
        Err(problem) => {
            let mut view = sign_in_view(front, next, None);
            view.email = email.to_owned();
            view.name = name.to_owned();
            view.create_error = Some(problem.detail);
            let status = problem.code.meaning().status;
            Ok(answer::page(pages::personal(
                status,
                pages::render_sign_in(&view),
            )))
        }
    }
}
