#!/bin/sh
# Stands for Docker's command line: it writes down the images that it is told to pull.
case $1 in
  pull) systemctl is-active --quiet docker.service && echo "$3" >>/var/lib/docker/pulled ;;
  info) systemctl is-active --quiet docker.service ;;
esac
