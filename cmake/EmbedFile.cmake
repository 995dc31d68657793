# A file as a C array: embedded_NAME and embedded_NAME_size (server/embedded.h).

# embed_file(FILE NAME RESULT): RESULT becomes the C file, made at build time whenever FILE changes.
function(embed_file file name result)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded_${name}.c)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -D IN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -D OUT=${out} -D NAME=${name} -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${CMAKE_CURRENT_FUNCTION_LIST_FILE} VERBATIM)
  set(${result} ${out} PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE AND DEFINED IN)
  file(READ ${IN} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  file(WRITE ${OUT} "#include \"embedded.h\"\n\nconst unsigned char embedded_${NAME}[] = { ${bytes} };\nconst size_t embedded_${NAME}_size = sizeof embedded_${NAME};\n")
endif()
