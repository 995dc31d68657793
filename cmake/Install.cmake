# What `make install` lays down, all of it relocatable:
#   bin/akiembed                          RPATH: ../lib
#   lib/libakiembed.so.0                  RPATH: lib/akiembed, where ONNX Runtime lies when it was fetched
#   lib/libakiembed.a                     the same objects; whoever links it links ONNX Runtime and PCRE2 too (not on Windows)
#   lib/akiembed/libonnxruntime.so.1      only the fetched one; a system's ONNX Runtime stays where it is
#   (Windows: all three in bin/)
#   lib/systemd/system/akiembed.service   Linux: with the program's path as installed, the one file that is not relocatable
#   lib/pkgconfig/akiembed.pc, lib/cmake/akiembed/, include/akiembed.h, share/man/man1/akiembed.1, completions, share/doc/akiembed
include(CMakePackageConfigHelpers)

set(private_libdir ${CMAKE_INSTALL_LIBDIR}/akiembed)
file(REAL_PATH ${OnnxRuntime_LIBRARY} runtime_file)
get_filename_component(runtime_folder ${OnnxRuntime_LIBRARY} DIRECTORY)
string(FIND ${OnnxRuntime_LIBRARY} ${PROJECT_SOURCE_DIR}/third_party/ runtime_was_fetched)
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
if(APPLE)
  set(origin "@loader_path")
else()
  set(origin "$ORIGIN")
endif()

if(runtime_was_fetched EQUAL 0)
  # Under its soname alone: that is what the loader asks for.
  if(APPLE)
    set(runtime_name libonnxruntime.1.dylib)
  elseif(WIN32)                     # no run paths: beside the program
    set(runtime_name onnxruntime.dll)
    set(private_libdir ${CMAKE_INSTALL_BINDIR})
  else()
    set(runtime_name libonnxruntime.so.1)
  endif()
  install(FILES ${runtime_file} DESTINATION ${private_libdir} RENAME ${runtime_name}
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  install(FILES ${runtime_folder}/LICENSE ${runtime_folder}/ThirdPartyNotices.txt
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/onnxruntime OPTIONAL)
  set_target_properties(akiembed PROPERTIES INSTALL_RPATH "${origin}/akiembed")
elseif(NOT runtime_folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  set_target_properties(akiembed PROPERTIES INSTALL_RPATH ${runtime_folder})
endif()

# The archive: what is linked along with it, for pkg-config --static and for the CMake package.
if(NOT WIN32)
  set_target_properties(akiembed_static PROPERTIES OUTPUT_NAME akiembed EXCLUDE_FROM_ALL OFF)
  install(TARGETS akiembed_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(runtime_was_fetched EQUAL 0)
    set(pc_runtime "\${libdir}/akiembed")
    set(package_runtime "\${PACKAGE_PREFIX_DIR}/${private_libdir}/${runtime_name}")
  else()
    set(pc_runtime ${runtime_folder})
    set(package_runtime ${OnnxRuntime_LIBRARY})
    get_filename_component(runtime_name ${OnnxRuntime_LIBRARY} NAME)
  endif()
  set(package_libraries ${PCRE2_LDFLAGS} akiembed::onnxruntime pthread m)
  list(JOIN PCRE2_LDFLAGS " " pc_libraries)
  if(APPLE)
    string(REGEX REPLACE "^lib(.*)\\.dylib$" "-l\\1" pc_runtime_name ${runtime_name})
  else()                            # there is no archive of ONNX Runtime
    set(pc_runtime_name "-Wl,-Bdynamic -l:${runtime_name}")
  endif()
  string(APPEND pc_libraries " -L${pc_runtime} ${pc_runtime_name} -Wl,-rpath,${pc_runtime} -pthread -lm")
endif()

install(TARGETS akiembed EXPORT akiembed_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT akiembed_targets NAMESPACE akiembed:: FILE akiembedTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/akiembed)
configure_package_config_file(packaging/akiembedConfig.cmake.in ${PROJECT_BINARY_DIR}/akiembedConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/akiembed)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/akiembedConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/akiembedConfig.cmake ${PROJECT_BINARY_DIR}/akiembedConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/akiembed)

file(RELATIVE_PATH pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(packaging/akiembed.pc.in ${PROJECT_BINARY_DIR}/akiembed.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/akiembed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Documents, and what they link: the header by a link to where it lies.
file(GLOB pages CONFIGURE_DEPENDS *.md)
install(FILES LICENSE ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "*.png" PATTERN "embed.*")
install(DIRECTORY packaging/server DESTINATION ${CMAKE_INSTALL_DOCDIR}/packaging)
install(FILES packaging/Dockerfile packaging/valgrind.supp DESTINATION ${CMAKE_INSTALL_DOCDIR}/packaging)
if(NOT WIN32)
  file(RELATIVE_PATH header ${CMAKE_INSTALL_FULL_DOCDIR}/include ${CMAKE_INSTALL_FULL_INCLUDEDIR}/akiembed.h)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/link)
  file(CREATE_LINK ${header} ${PROJECT_BINARY_DIR}/link/akiembed.h SYMBOLIC)
  install(FILES ${PROJECT_BINARY_DIR}/link/akiembed.h DESTINATION ${CMAKE_INSTALL_DOCDIR}/include)
endif()

if(TARGET akiembed_cli)
  set_target_properties(akiembed_cli PROPERTIES INSTALL_RPATH "${origin}/${bin_to_lib}")
  install(TARGETS akiembed_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(NOT WIN32 AND (NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR))
    # The program writes its own completions and manual page, so that they cannot fall behind its options.
    set(completions)
    foreach(shell bash zsh fish man)
      set(out ${PROJECT_BINARY_DIR}/completions/akiembed.${shell})
      add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completions
        COMMAND akiembed_cli completion ${shell} > ${out}
        DEPENDS akiembed_cli VERBATIM)
      list(APPEND completions ${out})
    endforeach()
    add_custom_target(completions ALL DEPENDS ${completions})
    install(FILES ${PROJECT_BINARY_DIR}/completions/akiembed.bash RENAME akiembed
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${PROJECT_BINARY_DIR}/completions/akiembed.zsh RENAME _akiembed
      DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${PROJECT_BINARY_DIR}/completions/akiembed.fish
      DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
    install(FILES ${PROJECT_BINARY_DIR}/completions/akiembed.man RENAME akiembed.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
endif()

if(TARGET akiembed_cli AND TARGET aki_server AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  # The unit names the program by its path, which `cmake --install --prefix` decides: so it is written then.
  install(CODE "set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
    set(CMAKE_INSTALL_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/packaging/akiembed.service.in\" \"${PROJECT_BINARY_DIR}/akiembed.service\" @ONLY)")
  install(FILES ${PROJECT_BINARY_DIR}/akiembed.service DESTINATION lib/systemd/system)
endif()
