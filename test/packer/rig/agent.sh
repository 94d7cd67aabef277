#!/bin/sh
# Stands for an agent of a build instance. It opens its log for each line, and writes its state
# late while it stops.
#
# usage: agent LOG STATE
log=$1 state=$2

write() {
  mkdir -p "$(dirname "$log")" "$(dirname "$state")"
  echo "$1" >>"$log"
  echo "$1" >"$state"
}
stop() {
  sleep 1
  write stopped
  exit 0
}
trap stop TERM
while :; do
  write runs
  sleep 0.2 &
  wait $!
done
