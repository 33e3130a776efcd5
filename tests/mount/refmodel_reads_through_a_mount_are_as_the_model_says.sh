# SPDX-License-Identifier: Apache-2.0
# Random operations through real mounts, each answer compared with a model: T1,
# S1 to S5, S7, R3, INV1, INV4 to INV6. What is changed in the store meanwhile,
# faults of the store, restarts and kill -9 are among them. A failure prints its
# seed and the fewest operations that still fail.
#   REFMODEL_SECONDS (40)   REFMODEL_ARGS, such as "--seed N --trace"
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_objsim
export REFMODEL_TARN="$TARN" REFMODEL_SIM="$SIM" REFMODEL_WORK="$W"
# shellcheck disable=SC2086 # words
"$TOOLS/refmodel" --mount --read --ops 100 --seconds "${REFMODEL_SECONDS:-40}" \
	${REFMODEL_ARGS-} 9>&- || fail "see above"
