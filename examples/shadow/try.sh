#!/bin/sh
# Sends each kind of mark to a service and says what came back. Needs curl and openssl.
# ./try.sh http://127.0.0.1:8090 mark.key
set -eu
url=$1/orders
key=$(od -An -v -tx1 "$2" | tr -d ' \n')
run=try-$$

mac() { # label text
    printf '%s\0%s' "$1" "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary |
        openssl base64 -A | tr '+/' '-_' | tr -d '='
}
mark() { # expiry
    printf 'v1.%s.%s.%s' "$run" "$1" "$(mac seawall.mark.v1 "v1.$run.$1")"
}
wanted="v1.$run.$(mac seawall.shadow.v1 "v1.$run")"
bad=0
check() { # what status acknowledged curl's arguments
    what=$1 status=$2 acknowledged=$3
    shift 3
    head=$(curl -sS -o /dev/null -D - "$@" "$url" | tr -d '\r')
    got=$(printf '%s\n' "$head" | sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p')
    said=$(printf '%s\n' "$head" | sed -n 's/^[Ss]eawall-[Ss]hadow: //p')
    seen=no
    [ "$said" = "$wanted" ] && seen=yes
    verdict=ok
    if [ "$got" != "$status" ] || [ "$seen" != "$acknowledged" ]; then
        verdict=WRONG
        bad=1
    fi
    printf '%-28s %s, acknowledged: %-4s %s\n' "$what" "$got" "$seen" "$verdict"
}
orders() { curl -sS "$@" "$url" | tr -dc 0-9; }

soon=$(($(date +%s) + 60))
good=$(mark "$soon")
before=$(orders)
check 'no mark' 200 no
check 'an order in the header' 201 yes -d one -H "Seawall-Mark: $good"
check 'an order in baggage' 201 yes -d two -H "Baggage: a=1, seawall.mark=$good;p=1"
check 'an order in both' 201 yes -d three -H "Seawall-Mark: $good" -H "Baggage: seawall.mark=$good"
check 'a mark that is over' 400 no -d four -H "Seawall-Mark: $(mark 1000000000)"
check 'a forged mark' 400 no -d five -H "Seawall-Mark: v1.$run.$soon.$(mac other x)"
check 'no mark at all' 400 no -d six -H 'Seawall-Mark: yes'
shadow=$(orders -H "Seawall-Mark: $good")
if [ "$(orders)" != "$before" ] || [ "$shadow" != 3 ]; then
    echo "WRONG: $(orders) real orders, $before before; $shadow in the shadow, 3 expected"
    bad=1
fi
exit $bad
