/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_data.h - the files of fuse/page/, as the Makefile puts them into the
 * program; each ends with a NUL
 */
#ifndef FUSE_PAGE_DATA_H
#define FUSE_PAGE_DATA_H

extern const char page_html[];
extern const char page_css[];
extern const char page_js[];

#endif
