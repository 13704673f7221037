package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Guard lets only a direct loopback peer through: somebody on this machine, with no proxy between (G4). The Host must
// be this machine's or that of base, so that no name that an attacker makes resolve here gets in (DNS rebinding), and
// requests of other sites' pages that would change something are refused. Webhooks do not pass it: they are signed.
func Guard(base string, next http.Handler) http.Handler {
	allowed := map[string]bool{"localhost": true}
	if u, err := url.Parse(base); err == nil && u.Hostname() != "" {
		allowed[u.Hostname()] = true
	}
	cross := http.NewCrossOriginProtection()
	return cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := closed(r, allowed); reason != "" {
			http.Error(w, reason, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// closed tells why a request may not pass, "" if it may.
func closed(r *http.Request, allowed map[string]bool) string {
	const open = "; only somebody on the machine itself may look, through localhost: use a tunnel (ssh -L)"
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "this Millrace is closed to other machines" + open
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return "the request came through a proxy (" + name + ")" + open
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); !allowed[host] && (err != nil || !ip.IsLoopback()) {
		return "the request was addressed to another host" + open
	}
	return ""
}
