/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the clock of a run: it goes as any, and can be put forward
 */
#ifndef REFMODEL_CLOCK_H
#define REFMODEL_CLOCK_H

#include <stdint.h>

void clock_forward(int64_t ns);

#endif
