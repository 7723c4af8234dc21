#!/bin/bash
# build.sh WORK OUT: compiles Kubernetes 1.20.2 out of Debian's source package. Runs as root inside the build stage.
set -euo pipefail
work=${1:?WORK} out=${2:?OUT}
t0=$SECONDS
say() { printf 'kubernetes: %3ds %s\n' $((SECONDS - t0)) "$*"; }

# Sources of packages are not switched on in Debian's image. Both forms of apt's configuration exist in the wild.
for f in /etc/apt/sources.list.d/*.sources; do [ ! -f "$f" ] || sed -i 's/^Types: deb$/Types: deb deb-src/' "$f"; done
[ ! -f /etc/apt/sources.list ] || sed -i 's/^deb \(.*\)/&\ndeb-src \1/' /etc/apt/sources.list
say "fetching the sources and Go"
apt-get update -qq
# apt steps down to a user of its own for downloads, who may not write here; its warning about that would be all we see.
echo 'APT::Sandbox::User "root";' > /etc/apt/apt.conf.d/download-as-root
mkdir -p "$work/download" "$work/debs" "$work/src" "$work/gopath/src/k8s.io" "$out"
cd "$work/download"
apt-get source -qq --download-only kubernetes
# Unpacked into the work folder instead of installed: Go alone has thousands of files, and no service is to be started.
# reflect2: see below.
apt-get download -qq golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
for deb in ./*.deb; do dpkg-deb -x "$deb" "$work/debs"; done
[ -s "$(echo kubernetes_*1.20.2.orig.tar.gz)" ] || { echo "Debian's kubernetes is not 1.20.2 any more:"; ls; exit 1; }

say "unpacking"   # Debian's patches touch only kubectl, so the original tarball will do
tar -xzf kubernetes_*.orig.tar.gz --strip-components=1 -C "$work/src" \
  --exclude='*/CHANGELOG' --exclude='*/test/e2e*' --exclude='*_test.go'
ln -s "$work/src" "$work/gopath/src/k8s.io/kubernetes"

# The vendored reflect2 1.0.1 corrupts memory when built with Go 1.18 or later: the apiserver dies in mapiterinit as soon
# as it reads a custom resource. Debian has the repaired 1.0.2.
reflect2=$work/src/vendor/github.com/modern-go/reflect2
rm -f "$reflect2"/*.go "$reflect2"/*.s
cp "$work"/debs/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$reflect2/"

# GOPATH mode: in module mode Go refuses this old vendor folder. No cgo, so no C compiler is needed either.
export GOROOT=$work/debs/usr/lib/go-1.19 GOPATH=$work/gopath GOCACHE=$work/gocache GOTMPDIR=$work GO111MODULE=off
export GOFLAGS='' CGO_ENABLED=0 HOME=$work PATH=$work/debs/usr/lib/go-1.19/bin:$PATH
cd "$GOPATH/src/k8s.io/kubernetes"
package=k8s.io/kubernetes

say "generating the OpenAPI definitions"   # the tarball comes without them, and the apiserver does not build without
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
folders=$({ grep -rl '+k8s:openapi-gen=true' --include='*.go' pkg cmd
            grep -rl '+k8s:openapi-gen=true' --include='*.go' staging/src/k8s.io | sed 's,^staging/src/,vendor/,'; } |
  grep -v -e _examples -e sample-apiserver -e code-generator | xargs -n1 dirname | LC_ALL=C sort -u |
  sed "s,^,$package/," | paste -sd,)
"$work/openapi-gen" -i "$folders" -p $package/pkg/generated/openapi -O zz_generated.openapi \
  -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/violations"
cmp "$work/violations" api/api-rules/violation_exceptions.list

say "compiling"
flags="-s -w"
for p in $package/vendor/k8s.io/component-base/version $package/vendor/k8s.io/client-go/pkg/version; do
  flags+=" -X $p.gitVersion=v1.20.2 -X $p.gitMajor=1 -X $p.gitMinor=20 -X $p.gitTreeState=clean"
  flags+=" -X $p.gitCommit=faecb196815e248d3ecfb03c680a4507229c2a56 -X $p.buildDate=2021-01-13T13:20:00Z"
done
go build -buildvcs=false -trimpath -tags providerless -ldflags "$flags" -o "$out/" \
  ./cmd/kube-apiserver ./cmd/kube-controller-manager ./cmd/kubeadm
say "done"
ls -l "$out"
