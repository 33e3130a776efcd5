# SPDX-License-Identifier: Apache-2.0
# Random operations through two real mounts that write one bucket, each answer
# and what the store has after each compared with a model: S9 to S17, S19 to
# S21, C4, C9, C12, C16, INV2, INV5, INV6. What others change in the store,
# faults of the store, restarts and kill -9 are among them. A failure prints its
# seed and the fewest operations that still fail.
#   REFMODEL_SECONDS (25)   REFMODEL_ARGS, such as "--seed N --trace"
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_objsim
export REFMODEL_TARN="$TARN" REFMODEL_SIM="$SIM" REFMODEL_WORK="$W"
# shellcheck disable=SC2086 # words
"$TOOLS/refmodel" --mount --write --ops 100 \
	--seconds "${REFMODEL_SECONDS:-25}" ${REFMODEL_ARGS-} >"$W/said" 9>&- || {
	cat "$W/said"
	fail "see above"
}
sum_of() { sed -n "s/^ok .* \([0-9]*\) $1.*/\1/p" "$W/said" | awk '{ n += $1 } END { print n + 0 }'; }
# Of chosen seeds there may be none.
[ -n "${REFMODEL_ARGS-}" ] || {
	expect_ge "$(sum_of commits)" 50 "commits"
	expect_ge "$(sum_of faults)" 5 "faults that fired"
	expect_ge "$(sum_of kills)" 3 "kills"
}
