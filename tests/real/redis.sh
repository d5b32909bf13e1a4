#!/bin/bash
# A redis server is filled, loaded by redis-benchmark, saved by forked children, restarted from its
# files and emptied. Prints digests of all keys and values, and nothing that depends on time. Works
# in the current directory.
set -u
# Debian's redis-server is another name of this program, in a package that starts a service.
ln -sf "$(command -v redis-check-rdb)" redis-server
cli() { redis-cli -s "$PWD/socket" "$@"; }
load() { # REQUESTS TESTS: each has one key, since how many random ones there are is chance
  redis-benchmark -s "$PWD/socket" -q -c 20 -P 8 -d 100 -n "$1" -t "$2" >bench.log 2>&1
  echo "benchmark's status $?, $(grep -ci error bench.log) errors"
}
serve() { # OPTION...
  ./redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --appendonly yes \
    --enable-debug-command yes --hz 50 "$@" >>server.log 2>&1 &
  server=$!
  for _ in {1..600}; do
    [ "$(cli ping 2>/dev/null)" = PONG ] && return
    kill -0 $server 2>/dev/null || break
    sleep 0.1
  done
  echo "the server does not answer" && tail -n 30 server.log
  exit 1
}
finish() {
  cli shutdown nosave
  wait $server
  echo "the server's status $?"
}
state() { echo "$1: $(cli dbsize) keys, digest $(cli debug digest)"; }
wait_for() { # FIELD VALUE: in INFO
  for _ in {1..600}; do
    cli info | tr -d '\r' | grep -qx "$1:$2" && return
    sleep 0.1
  done
  echo "$1 does not become $2"
}

serve
awk 'BEGIN {
  srand(7)
  for (i = 0; i < 60000; i++) {
    k = int(rand() * 5000)
    printf "SET string:%d %0*d\n", k, rand() < 0.01 ? 3000 : 1 + int(rand() * 200), i
    printf "APPEND grown:%d %d\n", k % 500, i
    printf "HSET hash:%d field%d %d\n", k % 300, i, i * 7
    printf "RPUSH list:%d item%d\n", k % 200, i
    printf "SADD set:%d %d\n", k % 100, rand() < 0.5 ? i : k
    printf "ZADD sorted:%d %d member%d\n", k % 100, k, i % 9000
    printf "XADD stream:%d %d-1 number %d\n", k % 50, i + 1, i
    if (i % 3 == 0)
      printf "DEL string:%d\nLPOP list:%d\nHDEL hash:%d field%d\n", int(k / 2), k % 200, k % 300, i
    if (i % 500 == 0) printf "UNLINK hash:%d set:%d\n", k % 300, k % 100
  }
}' | cli --pipe | tail -n 1
state filled
load 20000 set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset
state loaded
cli eval 'local n = 0
  for i = 1, 20000 do
    local t = {}
    for j = 1, 20 do t[j] = j .. redis.call("get", "grown:" .. i % 500) end
    n = n + #table.concat(t)
  end
  return n' 0
cli bgsave >bgsave.log
wait_for rdb_bgsave_in_progress 0
cli bgrewriteaof >bgsave.log
wait_for aof_rewrite_in_progress 0
cli info persistence | tr -d '\r' | grep -E '^(rdb_last_bgsave|aof_last_bgrewrite)_status'
cli debug reload
state reloaded
finish
# Requests are read and answers written by a thread more, which spins: few of them.
serve --io-threads 2 --io-threads-do-reads yes
state restarted
load 400 set,get,lpush,lrange_100,mset
state loaded
cli config set lazyfree-lazy-user-flush yes
cli flushall
wait_for lazyfree_pending_objects 0
state flushed
finish
! grep 'crashed\|BUG REPORT\|^sluice: ' server.log
