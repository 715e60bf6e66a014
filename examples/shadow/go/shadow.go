// A service that takes orders, and keeps those of rehearsals in a store of their own.
// go run shadow.go PORT MARK-KEY-FILE DATA-FOLDER
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const bodyBytesMax = 16 * 1024

var (
	key    []byte
	data   string
	writes sync.Mutex
	shape  = regexp.MustCompile(`^v1\.([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,17})$`)
	// There is a mark, and it is not one of ours: no reason to write anything anywhere.
	errBadMark = errors.New("bad mark")
)

func main() {
	var err error
	if key, err = os.ReadFile(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	data = os.Args[3]
	if err = os.MkdirAll(data, 0o755); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/orders", serve)
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1], ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func serve(w http.ResponseWriter, r *http.Request) {
	run, err := runOf(r.Header)
	if err != nil {
		http.Error(w, `{"code": "bad_mark"}`, http.StatusBadRequest)
		return
	}
	// Chosen once; nothing behind this line knows of rehearsals.
	store := filepath.Join(data, "orders")
	if run != "" {
		store = filepath.Join(data, "shadow-"+run)
		w.Header().Set("Seawall-Shadow", "v1."+run+"."+mac("seawall.shadow.v1", "v1."+run))
	}
	switch r.Method {
	case http.MethodPost:
		number, err := place(store, io.LimitReader(r.Body, bodyBytesMax))
		if err != nil {
			http.Error(w, `{"code": "not_kept"}`, http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "{\"order\": %d}\n", number)
	case http.MethodGet:
		number, err := count(store)
		if err != nil {
			http.Error(w, `{"code": "not_read"}`, http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "{\"orders\": %d}\n", number)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func place(store string, body io.Reader) (int, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return 0, err
	}
	writes.Lock()
	defer writes.Unlock()
	file, err := os.OpenFile(store, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(text) + "\n")
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return 0, err
	}
	return count(store)
}

func count(store string) (int, error) {
	text, err := os.ReadFile(store)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return bytes.Count(text, []byte("\n")), err
}

// runOf gives the run that a request belongs to; "": it is a real one.
func runOf(header http.Header) (string, error) {
	marks := append([]string{}, header.Values("Seawall-Mark")...)
	for _, list := range header.Values("Baggage") {
		for _, member := range strings.Split(list, ",") {
			name, value, _ := strings.Cut(strings.Split(member, ";")[0], "=")
			if strings.TrimSpace(name) == "seawall.mark" {
				marks = append(marks, strings.TrimSpace(value))
			}
		}
	}
	if len(marks) == 0 {
		return "", nil
	}
	for _, other := range marks {
		if other != marks[0] {
			return "", errBadMark
		}
	}
	dot := strings.LastIndex(marks[0], ".")
	if dot < 0 {
		return "", errBadMark
	}
	signed, tag := marks[0][:dot], marks[0][dot+1:]
	parts := shape.FindStringSubmatch(signed)
	if parts == nil || !hmac.Equal([]byte(tag), []byte(mac("seawall.mark.v1", signed))) {
		return "", errBadMark
	}
	until, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || until <= time.Now().Unix() {
		return "", errBadMark
	}
	return parts[1], nil
}

func mac(label, text string) string {
	hash := hmac.New(sha256.New, key)
	hash.Write([]byte(label + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}
