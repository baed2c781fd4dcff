// execd holds the port of the kubelet's stand-in: it answers exec, in SPDY and WebSocket, by running the command inside the
// container, and hands everything else on to the stand-in itself.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// A session of exec that is silent for so long is over.
const idleTimeout = 4 * time.Hour

func main() {
	listen := flag.String("listen", "", "address to serve, as host:port")
	backend := flag.String("backend", "", "URL of the kubelet's stand-in")
	authority := flag.String("ca", "", "file of the authority whose clients are let in")
	certificate := flag.String("cert", "", "file of the server's certificate")
	key := flag.String("key", "", "file of its key")
	flag.Parse()

	clients := x509.NewCertPool()
	pem, err := os.ReadFile(*authority)
	if err != nil {
		log.Fatal(err)
	}
	if !clients.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", *authority)
	}
	target, err := url.Parse(*backend)
	if err != nil {
		log.Fatal(err)
	}

	server := &http.Server{
		Addr:    *listen,
		Handler: routes(target),
		TLSConfig: &tls.Config{
			ClientCAs:  clients,
			ClientAuth: tls.RequireAndVerifyClientCert,
		},
		// No HTTP/2: exec upgrades an HTTP/1.1 connection.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Printf("serving %s", *listen)
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}

func routes(backend *url.URL) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(backend)
	// Logs that are followed come line by line.
	proxy.FlushInterval = -1
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", func(answer http.ResponseWriter, request *http.Request) {
		options, err := remotecommand.NewOptions(request)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		remotecommand.ServeExec(
			answer, request,
			executor{backend: backend, namespace: request.PathValue("namespace")},
			request.PathValue("pod"), "", request.PathValue("container"),
			request.URL.Query()["command"], options,
			idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols,
		)
	})
	return mux
}
