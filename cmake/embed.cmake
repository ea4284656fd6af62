# SPDX-License-Identifier: Apache-2.0
#
# embed_files(TARGET SYMBOL GLOB...): a library with the files' bytes (.incbin: no compile time, read-only memory) and the table
#   struct embedded_file SYMBOL_files[]; size_t SYMBOL_count;   (include/depbroker/embedded.h)
# sorted by name; each file's bytes are NUL-terminated, so that SQL and JSON can be used as C strings.
function(embed_files target symbol)
	file(GLOB files CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${ARGN})
	list(SORT files)
	set(assembly ".section .rodata\n")
	set(table "#include \"depbroker/embedded.h\"\n")
	set(rows "")
	set(index 0)
	foreach(file ${files})
		get_filename_component(name ${file} NAME)
		string(APPEND assembly
			".global ${symbol}_${index}\n.global ${symbol}_${index}_end\n"
			"${symbol}_${index}:\n.incbin \"${CMAKE_CURRENT_SOURCE_DIR}/${file}\"\n${symbol}_${index}_end:\n.byte 0\n")
		string(APPEND table "extern const char ${symbol}_${index}[], ${symbol}_${index}_end[];\n")
		string(APPEND rows "\t{ \"${name}\", ${symbol}_${index}, ${symbol}_${index}_end },\n")
		math(EXPR index "${index} + 1")
	endforeach()
	string(APPEND assembly ".section .note.GNU-stack,\"\",%progbits\n")
	string(APPEND table "extern const struct embedded_file ${symbol}_files[];\nextern const size_t ${symbol}_count;\n"
		"const struct embedded_file ${symbol}_files[] = {\n${rows}\t{ 0, 0, 0 }\n};\nconst size_t ${symbol}_count = ${index};\n")
	file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.S CONTENT "${assembly}" @ONLY)
	file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.c CONTENT "${table}" @ONLY)
	add_library(${target} STATIC ${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.S ${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.c)
	list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
	set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/${symbol}_embedded.S PROPERTIES OBJECT_DEPENDS "${files}")
	target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/include)
endfunction()
