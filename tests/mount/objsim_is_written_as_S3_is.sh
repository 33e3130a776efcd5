# SPDX-License-Identifier: Apache-2.0
# The store that tests are made with changes objects as S3 does, and fails to as
# its rules say. No mount is needed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_objsim
set -- "$sim_pid"
# Sanitizers need memory of their own.
case $BUILD in */plain) ;; *) set -- ;; esac
python3 "$HELPERS/simwrites.py" "$SIM" "$@"
