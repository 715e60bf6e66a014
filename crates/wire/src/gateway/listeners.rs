//! Where requests come in, and how the door knows who sends them.

use super::limits::{
    CERTIFICATE_FILES_MAX, HOST_NAMES_MAX, IDENTITY_KEYS_MAX, SENTENCE_CHARS_MAX, VALUE_CHARS_MAX,
};
use super::scalar::{
    FILE, FLAG, HEADER, HOST, Instant, Kind, NAME, SHARE, bytes, list, span, text, whole,
};
use super::shape::{Choice, Mapping, Need, Shape, mapping, one_of, words};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const HOURS: u64 = 3_600_000;

words! {
    /// The oldest version of TLS that is spoken.
    pub enum TlsVersion { Tls12 "1.2", Tls13 "1.3", }
    /// Where a request was made.
    pub enum Channel { Web "web", App "app", Pos "pos", }
    /// Which header trusted proxies write the client's address to.
    pub enum AddressHeader { XForwardedFor "x-forwarded-for", Forwarded "forwarded", }
    /// How a token is signed.
    pub enum Algorithm {
        Hs256 "HS256", Rs256 "RS256", Ps256 "PS256", Es256 "ES256", EdDsa "EdDSA",
    }
    /// How a line of the access log is written.
    pub enum LogFormat { Json "json", Combined "combined", }
    /// What the recorder keeps of bodies.
    pub enum KeepBody { None "none", Hash "hash", Whole "whole", }
}

mapping! {
    /// An address that takes requests.
    pub struct Listener {
        /// Its name in logs and metrics.
        name: String = NAME, Need::Required;
        /// Address and port.
        address: SocketAddr = Shape::Scalar(Kind::Socket), Need::Required;
        /// Certificates; without them the listener speaks plain HTTP.
        tls: Option<Tls> = Tls::ITEM, Need::Optional;
        /// HTTP/2: by ALPN with TLS, by prior knowledge without.
        http2: bool = FLAG, Need::Or("true");
        /// What one connection and all of them may use.
        limits: ListenerLimits = ListenerLimits::ITEM, Need::Optional;
    }

    /// How a listener speaks TLS.
    pub struct Tls {
        /// Certificates; the first also serves clients that name no host.
        certificates: Vec<Certificate> =
            list(&Certificate::ITEM, CERTIFICATE_FILES_MAX), Need::Required;
        /// The oldest version that is spoken.
        minimum: TlsVersion = TlsVersion::SHAPE, Need::Or("1.2");
    }

    /// A certificate with its key, for some names.
    pub struct Certificate {
        /// Host names that it is shown for.
        names: Vec<String> = list(&HOST, HOST_NAMES_MAX), Need::Required;
        /// The chain as PEM, its own certificate first.
        cert_file: PathBuf = FILE, Need::Required;
        /// The private key as PEM.
        key_file: PathBuf = FILE, Need::Required;
    }

    /// What one connection and all of them may use.
    pub struct ListenerLimits {
        /// Bytes of a request's head.
        header_bytes: u64 = bytes(1 << 10, 256 << 10), Need::Or("32KiB");
        /// Headers of a request.
        header_count: u64 = whole(8, 256), Need::Or("100");
        /// Bytes of a request's body; a route may allow less.
        body_bytes: u64 = bytes(0, 16 << 30), Need::Or("1MiB");
        /// Connections at once.
        connections: u64 = whole(1, 1_000_000), Need::Or("10000");
        /// Streams of one HTTP/2 connection at once.
        streams: u64 = whole(1, 1_000), Need::Or("100");
        /// From the first byte of a head to its end; a TLS handshake has the same time.
        header_timeout: Duration = span(100, 5 * 60_000), Need::Or("5s");
        /// From the connection to the first byte.
        first_byte_timeout: Duration = span(100, 5 * 60_000), Need::Or("10s");
        /// Between two requests of a connection.
        idle_timeout: Duration = span(100, HOURS), Need::Or("60s");
    }

    /// The listener for operators: health, metrics, switches. It has its own thread.
    pub struct Admin {
        /// Address and port; keep it away from the public.
        address: SocketAddr = Shape::Scalar(Kind::Socket), Need::Or("127.0.0.1:9901");
        /// The token that operators send; where this is absent, operator.token of the data folder.
        token_file: Option<PathBuf> = FILE, Need::Optional;
    }

    /// How the door knows who sends a request.
    pub struct Identity {
        /// The header to which trusted proxies write the client's address.
        address_header: AddressHeader = AddressHeader::SHAPE, Need::Or("x-forwarded-for");
        /// Where the signed-in buyer is found; the first place that has one counts.
        buyer: Vec<Buyer> = list(&Buyer::ITEM, IDENTITY_KEYS_MAX), Need::Optional;
        /// The cookie that tells devices apart.
        device: Option<Device> = Device::ITEM, Need::Optional;
        /// The header that carries an API key.
        api_key_header: Option<String> = HEADER, Need::Optional;
        /// How channels are told apart; the first rule that fits counts.
        channels: Vec<ChannelRule> = list(&ChannelRule::ITEM, IDENTITY_KEYS_MAX), Need::Optional;
        /// The channel where no rule fits.
        default_channel: Channel = Channel::SHAPE, Need::Or("web");
    }

    /// A JSON Web Token that names the buyer in a claim.
    pub struct Jwt {
        /// The header that carries it, with or without `Bearer`.
        header: String = HEADER, Need::Or("authorization");
        /// The claim that names the buyer.
        claim: String = text(VALUE_CHARS_MAX), Need::Or("sub");
        /// Who must have issued it.
        issuer: String = text(VALUE_CHARS_MAX), Need::Required;
        /// For whom it must have been issued.
        audience: String = text(VALUE_CHARS_MAX), Need::Required;
        /// How it must be signed.
        algorithm: Algorithm = Algorithm::SHAPE, Need::Required;
        /// The public key as PEM, or the secret of HS256.
        key_file: PathBuf = FILE, Need::Required;
    }

    /// A cookie of the door's own that tells devices apart.
    pub struct Device {
        /// Its name.
        cookie: String = text(64), Need::Or("seawall_device");
        /// Whether the door gives one to clients without; otherwise somebody else must.
        issue: bool = FLAG, Need::Or("true");
        /// How long a browser keeps it.
        lifetime: Duration = span(60_000, 400 * 24 * HOURS), Need::Or("180d");
        /// The key that signs it, so that nobody invents devices.
        key_file: Option<PathBuf> = FILE, Need::Optional;
    }

    /// A sign by which a channel is known.
    pub struct ChannelRule {
        /// The channel.
        channel: Channel = Channel::SHAPE, Need::Required;
        /// The host that was asked for.
        host: Option<String> = HOST, Need::Optional;
        /// A header with its value. Believed only from trusted proxies.
        header: Option<HeaderValue> = HeaderValue::ITEM, Need::Optional;
    }

    /// A header with the value that it must have.
    pub struct HeaderValue {
        /// Its name.
        name: String = HEADER, Need::Required;
        /// Its whole value; any value where this is absent.
        value: Option<String> = text(VALUE_CHARS_MAX), Need::Optional;
    }

    /// One line for each request.
    pub struct AccessLog {
        /// How a line is written.
        format: LogFormat = LogFormat::SHAPE, Need::Or("json");
        /// The file; standard output where this is absent.
        file: Option<PathBuf> = FILE, Need::Optional;
        /// Share of the requests; failures are always written.
        sample: f64 = SHARE, Need::Or("1");
    }

    /// Keeps some real requests for later replay, without their secrets.
    pub struct Recorder {
        /// Where they are kept, as JSON Lines.
        file: PathBuf = FILE, Need::Required;
        /// Share of the requests.
        sample: f64 = SHARE, Need::Required;
        /// Headers, query and form fields that are blanked besides cookies and authorization.
        redact: Vec<String> =
            list(&Shape::Scalar(Kind::Text(64)), super::limits::REDACTED_NAMES_MAX),
            Need::Optional;
        /// What is kept of bodies.
        bodies: KeepBody = KeepBody::SHAPE, Need::Or("hash");
        /// Bytes of a body that are kept, if bodies are.
        body_bytes: u64 = bytes(0, 1 << 20), Need::Or("16KiB");
        /// Bytes of the file and the one before it together; the oldest requests go.
        file_bytes: u64 = bytes(1 << 10, 1 << 40), Need::Or("1GiB");
    }

    /// The mark of rehearsal traffic.
    pub struct Mark {
        /// Secrets that sign it; the first signs, all of them are accepted.
        key_files: Vec<PathBuf> = list(&FILE, 4), Need::Required;
    }

    /// From which run and build a limit came, and how long it is good.
    pub struct Provenance {
        /// The run that measured it.
        run: String = text(VALUE_CHARS_MAX), Need::Required;
        /// The build that was measured.
        build: String = text(VALUE_CHARS_MAX), Need::Required;
        /// What the measured figure was divided by.
        safety_factor: f64 = Shape::Scalar(Kind::Number(1.0, 100.0)), Need::Required;
        /// When.
        measured: Instant = Shape::Scalar(Kind::Instant), Need::Required;
        /// From when on it is not to be trusted.
        expires: Instant = Shape::Scalar(Kind::Instant), Need::Required;
        /// A remark.
        note: Option<String> = text(SENTENCE_CHARS_MAX), Need::Optional;
    }
}

one_of! {
    /// A place where the signed-in buyer is found.
    pub enum Buyer {
        /// The session of a service in this process, which checks it.
        Service(String) "service" = NAME;
        /// A token that is checked here.
        Jwt(Jwt) "jwt" = Jwt::ITEM;
        /// A header. Believed only from trusted proxies.
        Header(String) "header" = HEADER;
        /// A cookie as it stands; whoever sends another cookie is another buyer.
        Cookie(String) "cookie" = text(64);
    }
}
