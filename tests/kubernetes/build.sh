#!/bin/sh
# Builds a real Kubernetes for tests from Debian's source package, and takes etcd, containerd, runc
# and busybox out of Debian's packages, all into OUT; `apt-get`'s configured sources are used as they
# are, nothing is installed. `cache.py` calls it: build.sh OUT, with a lot of room beside OUT.
set -eu
OUT=$1
W=${OUT%.*}.work
mkdir -p "$W/lists/partial" "$W/archives/partial" "$W/sources" "$W/home" "$W/debs" "$OUT/bin"

say() {
	echo "$(date +%T) $*"
}

# --- what Debian has ------------------------------------------------------------------------------

# The machine's own apt sources, with the source packages of the same places beside them.
use_own_apt() {
	for file in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$file" ] || sed 's/^Types:.*/Types: deb deb-src/' "$file" >"$W/sources/${file##*/}"
	done
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ ! -e "$file" ] || sed -n 's/^deb\(-src\)\?[[:space:]]\(.*\)/deb \2\ndeb-src \2/p' "$file" |
			sort -u >"$W/sources/${file##*/}.list"
	done
	cat >"$W/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$W/sources";
Dir::State::lists "$W/lists";
Dir::Cache "$W";
APT::Sandbox::User "";
END
	export APT_CONFIG="$W/apt.conf"
}

fetch() {
	apt-get -q update
	(cd "$W/debs" && apt-get -q download golang-1.19-go golang-1.19-src \
		golang-github-modern-go-reflect2-dev etcd-server containerd containernetworking-plugins \
		runc busybox-static)
	(cd "$W" && apt-get -q source --download-only kubernetes)
}

unpack() {
	for deb in "$W"/debs/*.deb; do dpkg-deb -x "$deb" "$W/debian"; done
	mkdir "$W/k8s"
	# Debian's patches touch kubectl alone
	tar -xzf "$W"/kubernetes_1.20*.orig.tar.gz -C "$W/k8s" --strip-components=1
	cp "$W"/debian/usr/lib/cni/* "$OUT/bin"
	cp "$W"/debian/usr/bin/etcd "$W"/debian/usr/bin/containerd "$W"/debian/usr/bin/ctr \
		"$W"/debian/usr/bin/containerd-shim-runc-v2 "$W"/debian/usr/sbin/runc "$W"/debian/bin/busybox "$OUT/bin"
}

# reflect2 as it is vendored crashes with this Go.
swap_reflect2() {
	new="$W/debian/usr/share/gocode/src/github.com/modern-go/reflect2"
	old="$W/k8s/vendor/github.com/modern-go/reflect2"
	rm -f "$old"/*.go "$old"/*.s
	cp "$new"/*.go "$new"/*.s "$old"
	rm -f "$old"/*_test.go
}

# --- Go -------------------------------------------------------------------------------------------

use_go() {
	export GOROOT="$W/debian/usr/lib/go-1.19" GOPATH="$W/go" GOCACHE="$W/gocache" HOME="$W/home"
	export CGO_ENABLED=0 GOPROXY=off GO111MODULE=off GOFLAGS="${GOFLAGS:--p=2}"
	export PATH="$GOROOT/bin:$PATH"
	mkdir -p "$GOPATH/src/k8s.io"
	ln -sfn "$W/k8s" "$GOPATH/src/k8s.io/kubernetes"
	cd "$GOPATH/src/k8s.io/kubernetes"
}

# The only generated file that Debian's tarball lacks; this is what `make generated_files` makes.
generate_openapi() {
	go build -o "$W/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
	packages=$(grep -RlE '\+k8s:openapi-gen=' --include='*.go' pkg cmd vendor/k8s.io/api \
		vendor/k8s.io/apimachinery vendor/k8s.io/apiserver vendor/k8s.io/apiextensions-apiserver \
		vendor/k8s.io/kube-aggregator vendor/k8s.io/client-go vendor/k8s.io/component-base \
		vendor/k8s.io/cloud-provider vendor/k8s.io/kube-controller-manager \
		vendor/k8s.io/kube-proxy vendor/k8s.io/kube-scheduler vendor/k8s.io/kubelet \
		vendor/k8s.io/metrics vendor/k8s.io/controller-manager |
		grep -vE '/generated/|_test.go|/testdata/|zz_generated' | xargs -n1 dirname | sort -u |
		sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
	"$W/openapi-gen" -O zz_generated.openapi --report-filename /dev/null \
		--go-header-file hack/boilerplate/boilerplate.generatego.txt --output-base "$GOPATH/src" \
		--output-package k8s.io/kubernetes/pkg/generated/openapi --input-dirs "$packages"
}

# One program for all parts, called by the name of the part: it is compiled and linked once.
one_program() {
	mkdir -p cmd/one
	cat >cmd/one/main.go <<'END'
package main

import (
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var parts = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": manager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 kubelet.NewKubeletCommand,
}

func main() {
	rand.Seed(time.Now().UnixNano())
	command := parts[filepath.Base(os.Args[0])]()
	logs.InitLogs()
	defer logs.FlushLogs()
	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}
END
}

compile() {
	flags="-s -w"
	for package in component-base/version client-go/pkg/version; do
		for fact in gitVersion=v1.20.2 gitMajor=1 gitMinor=20; do
			flags="$flags -X k8s.io/kubernetes/vendor/k8s.io/$package.$fact"
		done
	done
	# no flags of the compiler: Go's own packages are there, compiled without
	go build -tags 'providerless dockerless' -ldflags "$flags" \
		-o "$OUT/bin/kubernetes" ./cmd/one
	for part in kube-apiserver kube-controller-manager kube-scheduler kubelet; do
		ln -sf kubernetes "$OUT/bin/$part"
	done
}

say 'packages'
use_own_apt
fetch
say 'unpacking'
unpack
swap_reflect2
use_go
say 'openapi'
generate_openapi
say 'kube-apiserver, kube-controller-manager, kube-scheduler, kubelet'
one_program
compile
say 'agnhost'
go build -ldflags '-s -w' -o "$OUT/bin/agnhost" ./test/images/agnhost
cd /
rm -rf "$W"
say 'built'
