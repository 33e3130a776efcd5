# SPDX-License-Identifier: Apache-2.0
# Random operations through two real mounts that write one bucket, each answer
# and what the store has after each compared with a model: S9 to S17, S19 to
# S21, C4, C9, C12, C16, INV2, INV5, INV6. What others change in the store,
# faults of the store, restarts and kill -9 are among them. A failure prints its
# seed and the fewest operations that still fail.
# The seeds are known ones, which met each kind of set-up, or had failed.
#   REFMODEL_SECONDS   new seeds for so long   REFMODEL_ARGS, such as "--trace"
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_objsim
export REFMODEL_TARN="$TARN" REFMODEL_SIM="$SIM" REFMODEL_WORK="$W"
model() {
	# shellcheck disable=SC2086 # words
	"$TOOLS/refmodel" --mount --write --ops 100 "$@" ${REFMODEL_ARGS-} \
		>>"$W/said" 9>&- || {
		cat "$W/said"
		fail "see above"
	}
}
if [ -n "${REFMODEL_SECONDS-}" ]; then
	model --seconds "$REFMODEL_SECONDS"
	cat "$W/said"
	exit
fi
for seed in 977687363373 977812235975 977814280650 977828720342 977913325605 \
	977988906918 978058654120 978431496993 978532444120 769923871055; do
	model --seed "$seed"
done
sum_of() { sed -n "s/^ok .* \([0-9]*\) $1.*/\1/p" "$W/said" | awk '{ n += $1 } END { print n + 0 }'; }
expect_ge "$(sum_of commits)" 100 "commits"
expect_ge "$(sum_of faults)" 20 "faults that fired"
expect_ge "$(sum_of kills)" 5 "kills, remounts and comparisons"
