<?php
// A service that takes orders, and keeps those of rehearsals in a store of their own.
// MARK_KEY=mark.key DATA=data php -S 127.0.0.1:8090 shadow.php

const BODY_BYTES_MAX = 16 * 1024;

function mac(string $label, string $text): string
{
    $mac = hash_hmac('sha256', "$label\0$text", file_get_contents(getenv('MARK_KEY')), true);
    return rtrim(strtr(base64_encode($mac), '+/', '-_'), '=');
}

/** The run that a request belongs to; null: a real one; false: a mark that is not one of ours. */
function run(): string|null|false
{
    $marks = isset($_SERVER['HTTP_SEAWALL_MARK']) ? [$_SERVER['HTTP_SEAWALL_MARK']] : [];
    foreach (explode(',', $_SERVER['HTTP_BAGGAGE'] ?? '') as $member) {
        [$name, $value] = array_pad(explode('=', explode(';', $member)[0], 2), 2, '');
        if (trim($name) === 'seawall.mark') {
            $marks[] = trim($value);
        }
    }
    if ($marks === []) {
        return null;
    }
    if (count(array_unique($marks)) > 1) {
        return false;
    }
    $shape = '/\A(v1\.([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,17}))\.([A-Za-z0-9_-]{43})\z/';
    if (!preg_match($shape, $marks[0], $parts)) {
        return false;
    }
    $ours = hash_equals(mac('seawall.mark.v1', $parts[1]), $parts[4]);
    return $ours && (int) $parts[3] > time() ? $parts[2] : false;
}

function orders(string $store): int
{
    return is_file($store) ? substr_count(file_get_contents($store), "\n") : 0;
}

function answer(int $status, array $body): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($body), "\n";
}

$run = run();
if ($run === false) {
    answer(400, ['code' => 'bad_mark']);
    return;
}
$data = getenv('DATA');
if (!is_dir($data)) {
    mkdir($data);
}
// Chosen once; nothing behind this line knows of rehearsals.
$store = $data . ($run === null ? '/orders' : "/shadow-$run");
if ($run !== null) {
    header("Seawall-Shadow: v1.$run." . mac('seawall.shadow.v1', "v1.$run"));
}
if (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) !== '/orders') {
    answer(404, ['code' => 'not_found']);
} elseif ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $body = file_get_contents('php://input', false, null, 0, BODY_BYTES_MAX);
    file_put_contents($store, base64_encode($body) . "\n", FILE_APPEND | LOCK_EX);
    answer(201, ['order' => orders($store)]);
} elseif ($_SERVER['REQUEST_METHOD'] === 'GET') {
    answer(200, ['orders' => orders($store)]);
} else {
    answer(405, ['code' => 'method']);
}
