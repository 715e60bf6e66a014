//! Checks of listeners, identity and logs.

use super::{SECRET, believes, file, named, once};
use crate::gateway::Gateway;
use crate::gateway::listeners::{Algorithm, Buyer, Listener};
use crate::gateway::source::{Source, joined};

pub fn listeners(source: &mut Source, gateway: &Gateway) {
    let names = gateway.listeners.iter().map(|l| named(&l.at, &l.name));
    once(source, names);
    let addresses = gateway.listeners.iter();
    let mut taken: Vec<(String, String)> = addresses
        .filter(|listener| listener.address.port() != 0)
        .map(|listener| {
            (
                joined(&listener.at, "address"),
                listener.address.to_string(),
            )
        })
        .collect();
    if gateway.admin.address.port() != 0 {
        let address = gateway.admin.address.to_string();
        taken.push(("admin.address".to_owned(), address));
    }
    once(source, taken.into_iter());
    for listener in &gateway.listeners {
        certificates(source, listener);
    }
    if let Some(token) = &gateway.admin.token_file {
        file(source, "admin.token_file", token, Some(SECRET));
    }
}

fn certificates(source: &mut Source, listener: &Listener) {
    let Some(tls) = &listener.tls else {
        return;
    };
    let names = tls.certificates.iter().flat_map(|certificate| {
        let names = certificate.names.iter().enumerate();
        names.map(|(i, name)| (format!("{}.names[{i}]", certificate.at), name.clone()))
    });
    once(source, names);
    for certificate in &tls.certificates {
        let path = joined(&certificate.at, "cert_file");
        file(source, &path, &certificate.cert_file, Some("CERTIFICATE"));
        let path = joined(&certificate.at, "key_file");
        file(source, &path, &certificate.key_file, Some("PRIVATE KEY"));
    }
}

pub fn identity(source: &mut Source, gateway: &Gateway) {
    let identity = &gateway.identity;
    let no_proxy = gateway.trusted_proxies.is_empty();
    if no_proxy && believes(gateway) {
        let what = "a header names the buyer, but no proxy is trusted to send it, expected \
                    trusted_proxies";
        source.problem("identity.buyer", what);
    }
    for (index, buyer) in identity.buyer.iter().enumerate() {
        let Buyer::Jwt(jwt) = buyer else {
            continue;
        };
        let holds = match jwt.algorithm {
            Algorithm::Hs256 => SECRET,
            _ => "PUBLIC KEY",
        };
        let path = format!("identity.buyer[{index}].jwt.key_file");
        file(source, &path, &jwt.key_file, Some(holds));
    }
    if let Some(key) = identity
        .device
        .as_ref()
        .and_then(|device| device.key_file.as_ref())
    {
        file(source, "identity.device.key_file", key, Some(SECRET));
    }
    for rule in &identity.channels {
        if rule.host.is_none() && rule.header.is_none() {
            source.wrong(&rule.at, "neither", "a host or a header");
        }
        if no_proxy && rule.header.is_some() {
            let what = "a header names the channel, but no proxy is trusted to send it, expected \
                        trusted_proxies";
            source.problem(&joined(&rule.at, "header"), what);
        }
    }
}

pub fn logs(source: &mut Source, gateway: &Gateway) {
    if let Some(mark) = &gateway.mark {
        for (index, key) in mark.key_files.iter().enumerate() {
            file(
                source,
                &format!("mark.key_files[{index}]"),
                key,
                Some(SECRET),
            );
        }
    }
    let log = gateway
        .access_log
        .as_ref()
        .and_then(|log| log.file.as_ref());
    let record = gateway.recorder.as_ref().map(|recorder| &recorder.file);
    if log.is_some() && log == record {
        let what = "is the access log's file too, expected another";
        source.problem("recorder.file", what);
    }
}

pub fn cluster(source: &mut Source, gateway: &Gateway) {
    let Some(cluster) = &gateway.cluster else {
        return;
    };
    file(source, "cluster.key_file", &cluster.key_file, Some(SECRET));
    let (path, address) = match cluster.advertise {
        Some(address) => ("cluster.advertise", address),
        None => ("cluster.listen", cluster.listen),
    };
    if address.ip().is_unspecified() || address.port() == 0 {
        let what = format!("others cannot reach {address}, expected an address in advertise");
        source.problem(path, what);
    }
}
