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
		allowed[strings.ToLower(u.Hostname())] = true
	}
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reason := closed(r, allowed)
		if reason == "" && cross.Check(r) != nil {
			reason = "the request came from another site's page, which may change nothing here"
		}
		if reason != "" {
			refuse(w, r, reason)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse says why, to programs as programs read it.
func refuse(w http.ResponseWriter, r *http.Request, reason string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		problem{http.StatusForbidden, reason}.send(w)
		return
	}
	http.Error(w, reason, http.StatusForbidden)
}

// closed tells why a request may not pass, "" if it may.
func closed(r *http.Request, allowed map[string]bool) string {
	const open = "; only somebody on the machine itself may look, through localhost: use a tunnel (ssh -L)"
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "this Millrace is closed to other machines" + open
	}
	for name := range r.Header {
		if proxied(name) {
			return "the request came through a proxy (" + name + ")" + open
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); !allowed[host] && (err != nil || !ip.Unmap().IsLoopback()) {
		return "the request was addressed to another host" + open
	}
	return ""
}

// proxied tells whether a header of this (canonical) name is one that proxies set.
func proxied(name string) bool {
	return name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-")
}
